// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "troupe/core/buffer.hpp"
#include "troupe/core/error.hpp"

namespace troupe::comm::transfer {

/// Rounded up to whole pages.
[[nodiscard]] std::uint64_t whole_pages(std::uint64_t bytes) noexcept;

/// How many slots of `slot_bytes` to use within `bytes_max`: two at least, or
/// `errc::exhausted`; no more than four, because more of them only leave the
/// cache.
[[nodiscard]] result<std::uint64_t> slots_within(std::uint64_t bytes_max,
                                                 std::uint64_t slot_bytes);

/// Fresh memory of its own pages, large ones where the system has them.
/// Fails with `errc::exhausted`.
[[nodiscard]] result<buffer> allocate_large(std::uint64_t bytes);

/// Lets all pages of `memory`, which is ours to write, be there now rather than
/// at the first use. Does not change what they hold.
void prefault_write(std::span<std::byte> memory) noexcept;

/// Maps all pages of `memory` for reading.
void prefault_read(std::span<const std::byte> memory) noexcept;

} // namespace troupe::comm::transfer
