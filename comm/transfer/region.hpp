// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "troupe/core/dtype.hpp"
#include "troupe/core/transfer_plan.hpp"

namespace troupe::comm::transfer {

/// Loops of a region that a program or a peer may name: twice what a box has
/// dimensions.
inline constexpr std::size_t loops_max = 12;

/// Elements that stand in memory as runs, in row-major order. Borrows memory
/// and loops. `Byte` is `std::byte`, const if the region is only read.
template <class Byte>
struct basic_region {
  /// The first element.
  Byte* first = nullptr;
  dtype type = dtype::float32;
  /// In all.
  std::uint64_t elements = 0;
  /// That follow each other in memory.
  std::uint64_t run_elements = 0;
  /// Outermost first; empty if there is one run.
  std::span<const memory_loop> loops = {};

  [[nodiscard]] std::size_t bytes() const noexcept {
    return static_cast<std::size_t>(elements) * size_of(type);
  }

  [[nodiscard]] std::size_t run_bytes() const noexcept {
    return static_cast<std::size_t>(run_elements) * size_of(type);
  }

  [[nodiscard]] bool contiguous() const noexcept {
    return run_elements == elements;
  }

  /// A region that may be written may be read.
  operator basic_region<const std::byte>() const noexcept {
    return {first, type, elements, run_elements, loops};
  }
};

using region = basic_region<const std::byte>;
using writable_region = basic_region<std::byte>;

/// Elements one behind the other.
template <class Byte>
[[nodiscard]] basic_region<Byte> dense(Byte* first, dtype type,
                                       std::uint64_t elements) noexcept {
  return {first, type, elements, elements, {}};
}

/// Bytes from the first to behind the last element of a region of `elements`
/// elements. Nothing if the loops do not describe so many, are too many, or
/// the sum does not fit: they may come from a peer.
[[nodiscard]] std::optional<std::uint64_t>
region_extent(std::uint64_t elements, std::uint64_t run_elements,
              std::span<const memory_loop> loops, dtype type) noexcept;

/// Where element number `index` (row-major in the region) stands, in bytes
/// behind the region's first.
[[nodiscard]] std::uint64_t region_offset(std::uint64_t index,
                                          std::uint64_t run_elements,
                                          std::span<const memory_loop> loops,
                                          dtype type) noexcept;

/// Walks through a region's bytes in row-major order. The region must be
/// valid (`region_extent`).
template <class Byte>
class region_cursor {
public:
  explicit region_cursor(const basic_region<Byte>& what) noexcept
    : at_(what.first),
      run_(what.first),
      loops_(what.loops),
      run_bytes_(what.run_bytes()),
      left_in_run_(what.run_bytes()) {
    // nop
  }

  [[nodiscard]] Byte* data() const noexcept { return at_; }

  /// Bytes that follow each other from here on.
  [[nodiscard]] std::size_t contiguous() const noexcept { return left_in_run_; }

  /// At most `contiguous()` bytes on.
  void advance(std::size_t bytes) noexcept {
    at_ += bytes;
    left_in_run_ -= bytes;
    if (left_in_run_ == 0)
      next_run();
  }

private:
  void next_run() noexcept {
    for (auto d = loops_.size(); d-- > 0;) {
      const auto& loop = loops_[d];
      run_ += loop.stride_bytes;
      if (++index_[d] < loop.count) {
        at_ = run_;
        left_in_run_ = run_bytes_;
        return;
      }
      run_ -= loop.stride_bytes * loop.count;
      index_[d] = 0;
    }
  }

  Byte* at_;
  Byte* run_;
  std::span<const memory_loop> loops_;
  std::size_t run_bytes_;
  std::size_t left_in_run_;
  std::array<std::uint64_t, loops_max> index_{};
};

/// Copies the next `bytes` of a region to `to`.
void gather(std::byte* to, region_cursor<const std::byte>& from,
            std::size_t bytes) noexcept;

/// Copies `bytes` from `from` to the next of a region.
void scatter(region_cursor<std::byte>& to, const std::byte* from,
             std::size_t bytes) noexcept;

} // namespace troupe::comm::transfer
