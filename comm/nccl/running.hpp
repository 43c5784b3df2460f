// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <thread>

#include "troupe/comm/nccl/owned_comm.hpp"
#include "troupe/comm/nccl/sideband.hpp"
#include "troupe/core/deadline.hpp"

namespace troupe::comm::nccl {

/// How a wait passes its time: at first it looks again at once, because most
/// operations take microseconds, then it rests between looks, but never longer
/// than it takes to be late. A peer that fails ends a rest.
class patience {
public:
  explicit patience(sideband& peers) noexcept : peers_(peers) {
    // nop
  }

  void rest() noexcept {
    if (++looks_ <= eager_looks)
      std::this_thread::yield();
    else
      peers_.rest(std::chrono::microseconds{100});
  }

private:
  static constexpr std::uint32_t eager_looks = 200;

  sideband& peers_;
  std::uint32_t looks_ = 0;
};

/// Waits until NCCL has nothing of `comm` in progress. `check` is asked at
/// every look; its error ends the wait. `what` stands in messages.
[[nodiscard]] result<void>
await_settled(const library& lib, owned_comm& comm, sideband& peers,
              const char* what, const std::function<result<void>()>& check,
              deadline until);

} // namespace troupe::comm::nccl
