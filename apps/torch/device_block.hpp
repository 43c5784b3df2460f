// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "troupe/apps/torch/fwd.hpp"
#include "troupe/core/dlpack.hpp"
#include "troupe/core/dtype.hpp"
#include "troupe/core/shape.hpp"

namespace troupe::comm {

class shared_memory;

} // namespace troupe::comm

namespace troupe::torch {

enum class block_use : std::uint8_t {
  /// Other processes may read it: shared memory on the CPU, where the system
  /// has it.
  shared,
  own,
  /// As `own`, but nobody needs the contents between two functions (gradients):
  /// they are not copied when the block leaves, and zeros come back.
  scratch,
};

/// One long allocation of a model, which can leave its device and come back
/// somewhere else: all tensors made of it share one storage, so that they stay
/// the tensors they are and see the new place. Used by one thread at a time.
///
/// On a CUDA device the memory is a block of libtorch's caching allocator, and
/// so lies in one cudaMalloc'ed segment: other processes reach it by the
/// segment's IPC handle and an offset. (Not with expandable segments, which the
/// device's stream warns of.)
class device_block {
public:
  /// `bytes` zeros on `where`, inside `device_stream::run` if that is a CUDA
  /// device. Throws what libtorch throws if there is no memory.
  device_block(std::size_t bytes, dlpack::device where, block_use use);
  ~device_block();

  device_block(const device_block&) = delete;
  device_block& operator=(const device_block&) = delete;

  [[nodiscard]] std::size_t size() const noexcept;

  [[nodiscard]] dlpack::device device() const noexcept;

  /// A tensor over a part. Not a view in torch's sense: an in-place update of
  /// one does not invalidate the graphs of another. `offset` is in bytes and a
  /// multiple of the element size; all must lie inside. `type` is float32,
  /// bfloat16 or uint8.
  [[nodiscard]] at::Tensor part(std::size_t offset, dtype type,
                                const shape& extents) const;

  /// Where the bytes are now: memory of `device()`. Throws std::logic_error
  /// while they are away.
  [[nodiscard]] std::span<std::byte> bytes() const;

  /// The shared memory that the bytes lie in; null if there is none.
  [[nodiscard]] const std::shared_ptr<comm::shared_memory>&
  shared() const noexcept;

  /// True while the bytes are on the device.
  [[nodiscard]] bool present() const noexcept;

  /// Copies the bytes to host memory (page-locked for a CUDA device), unless
  /// they are scratch, and frees those on the device. The tensors keep their
  /// shapes and must not be used. Nothing happens if they are away. If it
  /// throws, nothing has changed.
  void leave();

  /// The other way, to fresh memory of the same device.
  void come_back();

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace troupe::torch
