// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "troupe/comm/cuda/memory.hpp"
#include "troupe/comm/cuda/runtime.hpp"
#include "troupe/comm/cuda/stream.hpp"
#include "troupe/core/deadline.hpp"

namespace troupe::comm::devices {

/// A stream of a device, and pinned memory of this process through which bytes
/// go between the two.
///
/// A move that is given up may still be under way: the blocks are not used
/// again before it is done, and the destructor waits for it. If it does not
/// end, stream and blocks are left to the process, because a release would
/// wait for ever.
///
/// Threads: one at a time.
class bounce_line {
public:
  /// Pinned memory is made at the first use.
  [[nodiscard]] static result<bounce_line> create(cuda::runtime_ptr runtime,
                                                  std::int32_t device);

  bounce_line(bounce_line&& other) noexcept;
  bounce_line& operator=(bounce_line&&) = delete;
  ~bounce_line();

  /// As many bytes of block `which`, 0 or 1. The bytes stay where they are until
  /// somebody asks for more. Fails with `errc::exhausted`.
  [[nodiscard]] result<std::span<std::byte>>
  block(std::size_t which, std::size_t bytes, deadline until);

  /// Between a block and the device. Waits for it, as `cuda::wait`.
  [[nodiscard]] result<void> move(void* to, const void* from, std::size_t bytes,
                                  deadline until,
                                  const std::atomic<bool>* aborted = nullptr);

private:
  struct resources {
    cuda::stream line;
    std::array<cuda::pinned_memory, 2> blocks;
  };

  bounce_line(cuda::runtime_ptr runtime, cuda::stream line)
    : runtime_(std::move(runtime)),
      owned_{std::move(line), {}} {
    // nop
  }

  /// Waits for what was given up.
  result<void> settle(deadline until, const std::atomic<bool>* aborted);

  cuda::runtime_ptr runtime_;
  resources owned_;
  /// True while the device may be using the blocks.
  bool busy_ = false;
};

} // namespace troupe::comm::devices
