// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "comm/transfer/sync_sample.hpp"
#include "troupe/comm/cuda/runtime.hpp"
#include "troupe/comm/device.hpp"
#include "troupe/core/buffer.hpp"

namespace troupe::test {

/// A device that tests work on: one of this machine or one that is stood in
/// for. Without a device it stands for a process's own memory.
struct device_subject {
  comm::device_ptr device = {};
  /// For what `device` does not say.
  comm::cuda::runtime_ptr runtime = {};

  /// True if `where` is memory of the device.
  [[nodiscard]] bool holds(const void* where) const;

  /// Memory of the device that nobody has given a name.
  [[nodiscard]] buffer allocate(std::size_t bytes) const;

  /// Wherever the bytes lie. Throws what fails.
  void put(std::byte* to, std::span<const std::byte> from) const;
  void get(std::span<std::byte> to, const std::byte* from) const;

  /// Null without a device.
  [[nodiscard]] std::shared_ptr<const comm::transfer::copy_engine_maker>
  engines() const;
};

/// Tensors of sources lie on the one, of destinations on the other.
[[nodiscard]] sync_memory memory_of(const device_subject& source,
                                    const device_subject& destination);

/// Memory of a device that other processes can read, given out piece by piece.
/// Not thread-safe.
class shared_area : public std::enable_shared_from_this<shared_area> {
public:
  /// `given`: somebody else has allocated it, and it gets a name later.
  shared_area(const device_subject& on, std::size_t bytes, bool given);

  /// What the link of a sender is told of.
  [[nodiscard]] const std::shared_ptr<comm::shared_memory>& memory() const {
    return memory_;
  }

  [[nodiscard]] buffer allocate(std::size_t bytes);

private:
  dlpack::device where_;
  buffer given_;
  std::shared_ptr<comm::shared_memory> memory_;
  std::size_t used_ = 0;
};

/// Both ends of a sync between two ranks, on devices.
struct device_bed {
  device_subject source;
  device_subject destination;
  link_kind kind = link_kind::cuda;
  /// First the sending end.
  std::function<std::pair<comm::link_ptr, comm::link_ptr>()> make_link = {};
  /// Of the sources' tensors; null: any.
  std::function<buffer(std::size_t)> source_memory = {};

  [[nodiscard]] sync_backend backend() const;
};

/// A link between two ranks of `group`, both of this process.
[[nodiscard]] std::pair<comm::link_ptr, comm::link_ptr>
link_over(const std::vector<comm::communicator_ptr>& group,
          const char* backend);

} // namespace troupe::test
