// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "troupe/comm/cuda/event.hpp"
#include "troupe/comm/cuda/memory.hpp"
#include "troupe/comm/cuda/runtime.hpp"
#include "troupe/comm/cuda/stream.hpp"
#include "troupe/core/error.hpp"

namespace troupe::comm::nccl {

/// What a communicator owns on its device: a stream, an event, and the memory
/// over which host memory travels: pinned and device chunks, one each way,
/// made when they are first needed.
///
/// Threads: the operating one.
class staging {
public:
  /// A chunk is `chunk_bytes` long.
  [[nodiscard]] static result<std::unique_ptr<staging>>
  make(cuda::runtime_ptr on, std::int32_t device, std::size_t chunk_bytes);

  /// Whatever was enqueued must be done, unless `abandon` was called.
  ~staging();

  staging(const staging&) = delete;
  staging& operator=(const staging&) = delete;

  /// Makes the chunks if they are not there yet.
  [[nodiscard]] result<void> need_chunks();

  [[nodiscard]] std::size_t chunk_bytes() const noexcept {
    return chunk_bytes_;
  }

  [[nodiscard]] cuda::stream_handle stream() const noexcept {
    return owned_->stream.handle();
  }

  [[nodiscard]] std::byte* pinned_out() const noexcept {
    return owned_->pinned_out.data();
  }

  [[nodiscard]] std::byte* pinned_in() const noexcept {
    return owned_->pinned_in.data();
  }

  [[nodiscard]] std::byte* device_out() const noexcept {
    return owned_->device_out.data();
  }

  [[nodiscard]] std::byte* device_in() const noexcept {
    return owned_->device_in.data();
  }

  /// A few bytes of device memory for what is not about bytes.
  [[nodiscard]] std::byte* word() const noexcept { return owned_->word.data(); }

  /// Copies in the order of the stream.
  [[nodiscard]] result<void> copy(void* to, const void* from,
                                  std::size_t bytes);

  /// Marks this point of the stream for `passed`.
  [[nodiscard]] result<void> mark();

  /// True once all before the mark is done.
  [[nodiscard]] result<bool> passed() const;

  /// What is under way cannot be ended: nothing here is ever released, because
  /// the device may still write to it.
  void abandon() noexcept { abandoned_ = true; }

private:
  struct owned {
    cuda::stream stream;
    cuda::event mark;
    cuda::device_memory word;
    cuda::pinned_memory pinned_out;
    cuda::pinned_memory pinned_in;
    cuda::device_memory device_out;
    cuda::device_memory device_in;
  };

  staging(cuda::runtime_ptr on, std::size_t chunk_bytes,
          std::unique_ptr<owned> parts);

  const cuda::runtime_ptr runtime_;
  const std::size_t chunk_bytes_;
  std::unique_ptr<owned> owned_;
  bool abandoned_ = false;
};

} // namespace troupe::comm::nccl
