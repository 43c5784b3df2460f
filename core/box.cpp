// SPDX-License-Identifier: Apache-2.0
#include "troupe/core/box.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace troupe {

result<box> box::make(std::span<const std::int64_t> begin,
                      std::span<const std::int64_t> end) {
  if (begin.size() != end.size())
    return fail(errc::invalid,
                fmt::format("a box begins with {} dimensions and ends with {}",
                            begin.size(), end.size()));
  if (begin.size() > max_dims)
    return fail(errc::invalid, fmt::format("a box has {} dimensions, at most "
                                           "{} are allowed",
                                           begin.size(), max_dims));
  box out;
  out.dims_ = static_cast<std::uint8_t>(begin.size());
  std::int64_t count = 1;
  for (std::size_t i = 0; i < begin.size(); ++i) {
    if (begin[i] < 0 || end[i] < begin[i])
      return fail(errc::invalid,
                  fmt::format("dimension {} of a box is [{}, {})", i, begin[i],
                              end[i]));
    out.intervals_[i] = {begin[i], end[i]};
    // An extent of zero must not hide that the others are too large.
    auto extent = std::max<std::int64_t>(1, end[i] - begin[i]);
    if (__builtin_mul_overflow(count, extent, &count))
      return fail(errc::invalid,
                  fmt::format("a box has too many elements: dimension {} is "
                              "[{}, {})",
                              i, begin[i], end[i]));
  }
  return out;
}

result<box> box::whole(const shape& extents) {
  std::array<std::int64_t, max_dims> zeros{};
  if (extents.size() > max_dims)
    return fail(errc::invalid,
                fmt::format("a tensor has {} dimensions, at most {} are "
                            "allowed",
                            extents.size(), max_dims));
  return make(std::span{zeros}.first(extents.size()), extents);
}

std::int64_t box::size() const noexcept {
  std::int64_t count = 1;
  for (std::size_t i = 0; i < dims_; ++i)
    count *= intervals_[i].size();
  return count;
}

bool box::empty() const noexcept {
  return std::any_of(intervals_.begin(), intervals_.begin() + dims_,
                     [](const interval& x) { return x.size() == 0; });
}

bool box::contains(const box& other) const noexcept {
  if (dims_ != other.dims_)
    return false;
  for (std::size_t i = 0; i < dims_; ++i)
    if (other.intervals_[i].begin < intervals_[i].begin
        || other.intervals_[i].end > intervals_[i].end)
      return false;
  return true;
}

std::optional<box> box::intersection(const box& other) const noexcept {
  if (dims_ != other.dims_)
    return std::nullopt;
  box out;
  out.dims_ = dims_;
  for (std::size_t i = 0; i < dims_; ++i) {
    const auto& a = intervals_[i];
    const auto& b = other.intervals_[i];
    interval both{std::max(a.begin, b.begin), std::min(a.end, b.end)};
    if (both.begin >= both.end)
      return std::nullopt;
    out.intervals_[i] = both;
  }
  return out;
}

std::string to_string(const box& x) {
  std::string out = "[";
  for (std::size_t i = 0; i < x.dims(); ++i)
    out += fmt::format("{}{}:{}", i == 0 ? "" : ", ", x[i].begin, x[i].end);
  out += ']';
  return out;
}

} // namespace troupe
