// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "troupe/core/dlpack.hpp"

namespace troupe {

using device_kind = dlpack::device_type;

/// Shared ownership of a block of bytes, whoever allocated it. Copying a
/// buffer shares the block; the last copy releases it. Which thread reads and
/// which writes is agreed outside.
class buffer {
public:
  /// Where rows of a matrix may start so that vector loads stay aligned.
  static constexpr std::size_t alignment = 64;

  /// An empty buffer.
  buffer() noexcept = default;

  /// Fresh CPU memory, aligned to `alignment`, not zeroed. Throws
  /// std::bad_alloc: sizes from outside are checked before they come here.
  [[nodiscard]] static buffer allocate(std::size_t bytes);

  /// A copy of `bytes` in fresh memory.
  [[nodiscard]] static buffer copy_of(std::span<const std::byte> bytes);

  /// Memory that `owner` keeps alive (a torch tensor, a mapping, a vector).
  [[nodiscard]] static buffer wrap(std::byte* data, std::size_t bytes,
                                   std::shared_ptr<void> owner,
                                   dlpack::device device = {});

  [[nodiscard]] std::byte* data() const noexcept { return data_; }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

  [[nodiscard]] std::span<std::byte> bytes() const noexcept {
    return {data_, size_};
  }

  [[nodiscard]] dlpack::device device() const noexcept { return device_; }

  /// Bytes [offset, offset + bytes) of this buffer, sharing ownership. The
  /// range must lie inside.
  [[nodiscard]] buffer slice(std::size_t offset, std::size_t bytes) const;

private:
  std::shared_ptr<void> owner_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  dlpack::device device_;
};

} // namespace troupe
