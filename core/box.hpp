// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "troupe/core/error.hpp"
#include "troupe/core/shape.hpp"

namespace troupe {

/// Elements [begin, end) of one dimension.
struct interval {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  [[nodiscard]] std::int64_t size() const noexcept { return end - begin; }

  bool operator==(const interval&) const noexcept = default;
};

/// A half-open region of a tensor, in elements, outermost dimension first. A
/// scalar has no dimension and one element. A value without allocation: plans
/// hold millions of them.
class box {
public:
  static constexpr std::size_t max_dims = 6;

  constexpr box() noexcept = default;

  /// Fails with `errc::invalid`, naming the dimension, if the lists differ in
  /// length, are longer than `max_dims`, or hold a negative or descending
  /// interval or more elements than fit: they may come from a file or a peer.
  [[nodiscard]] static result<box> make(std::span<const std::int64_t> begin,
                                        std::span<const std::int64_t> end);

  /// All of a tensor.
  [[nodiscard]] static result<box> whole(const shape& extents);

  [[nodiscard]] std::size_t dims() const noexcept { return dims_; }

  [[nodiscard]] const interval& operator[](std::size_t dim) const noexcept {
    return intervals_[dim];
  }

  /// Number of elements.
  [[nodiscard]] std::int64_t size() const noexcept;

  [[nodiscard]] bool empty() const noexcept;

  [[nodiscard]] bool contains(const box& other) const noexcept;

  /// What both cover; nothing if that is empty or the dimensions differ.
  [[nodiscard]] std::optional<box>
  intersection(const box& other) const noexcept;

  /// The part whose dimension `dim` is `x`, which must be a dimension of this
  /// box and lie inside.
  [[nodiscard]] box part(std::size_t dim, interval x) const noexcept {
    auto out = *this;
    out.intervals_[dim] = x;
    return out;
  }

  bool operator==(const box&) const noexcept = default;

private:
  std::array<interval, max_dims> intervals_{};
  std::uint8_t dims_ = 0;
};

/// `"[0:4, 8:16]"`.
[[nodiscard]] std::string to_string(const box& x);

} // namespace troupe
