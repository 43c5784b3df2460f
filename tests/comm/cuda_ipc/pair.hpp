// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "support/cuda/stand_in_runtime.hpp"
#include "troupe/comm/cuda_ipc/factory.hpp"
#include "troupe/comm/shm/factory.hpp"
#include "troupe/core/deadline.hpp"

namespace troupe::test {

using stand_in_ptr = std::shared_ptr<stand_in_runtime>;

/// Two runtimes that see the same device, as two processes would.
struct runtime_pair {
  stand_in_ptr exporter = make();
  stand_in_ptr importer = make();

  static stand_in_ptr make(std::vector<std::uint32_t> devices = {0}) {
    stand_in_options options;
    options.devices = std::move(devices);
    options.stepped = true;
    return std::make_shared<stand_in_runtime>(options);
  }

  /// Sender and receiver.
  [[nodiscard]] std::pair<comm::link_ptr, comm::link_ptr>
  link(std::vector<std::shared_ptr<comm::shared_memory>> memories = {}) const {
    auto fds = comm::shm::make_sockets().value();
    return {comm::cuda_ipc::make_sender(fds.first, exporter, 0,
                                        std::move(memories))
              .value(),
            comm::cuda_ipc::make_receiver(fds.second, importer).value()};
  }
};

inline deadline ample() {
  return deadline::after(std::chrono::seconds{60});
}

/// The code of an error; `errc{}` for success.
template <class T>
errc code_of(const result<T>& x) {
  return x ? errc{} : x.error().code();
}

} // namespace troupe::test
