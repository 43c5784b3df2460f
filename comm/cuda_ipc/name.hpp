// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "troupe/comm/cuda/runtime.hpp"
#include "troupe/core/codec.hpp"
#include "troupe/core/error.hpp"

namespace troupe::comm::cuda_ipc {

/// What one process tells another of memory on a device.
struct memory_name {
  /// The device; numbers of devices differ between processes.
  cuda::device_uuid device{};
  /// Names the whole allocation that the memory lies in.
  cuda::ipc_handle handle{};
  std::uint64_t allocation_bytes = 0;
  /// The memory, counted from the allocation's begin.
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  /// The process that exports: for people, and a number of its own by which it
  /// knows itself (process ids repeat between containers).
  std::int32_t process_id = 0;
  std::uint64_t process_number = 0;

  bool operator==(const memory_name&) const = default;
};

[[nodiscard]] bytes encode(const memory_name& x);

/// Reads what came from a peer. Fails with `errc::corrupt`, also if the memory
/// would not lie in its allocation.
[[nodiscard]] result<memory_name> decode(std::span<const std::byte> name);

/// As `nvidia-smi -L` prints it: `GPU-4f3ca1f2-...`.
[[nodiscard]] std::string text_of(const cuda::device_uuid& x);

} // namespace troupe::comm::cuda_ipc
