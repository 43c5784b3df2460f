// SPDX-License-Identifier: Apache-2.0
#include "troupe/core/weight_layout.hpp"

#include <array>

#include <fmt/format.h>

namespace troupe {

namespace {

/// The extents of the stored region, `extents.size()` of them.
result<std::array<std::int64_t, box::max_dims>>
region_extents(const stored_tensor& tensor, const weight_segment& segment) {
  std::array<std::int64_t, box::max_dims> out{};
  const auto& where = segment.where;
  auto m = where.dims();
  auto n = tensor.extents.size();
  if (n == 0) {
    if (where.size() != 1)
      return fail(errc::invalid, "a scalar holds one element, not the box "
                                   + to_string(where));
    return out;
  }
  if (n >= m) {
    for (std::size_t i = 0; i < n; ++i)
      out[i] = i < n - m ? 1 : where[i - (n - m)].size();
    return out;
  }
  auto joined = m - n + 1;
  // Cannot overflow: a box knows its number of elements.
  out[0] = 1;
  for (std::size_t i = 0; i < joined; ++i)
    out[0] *= where[i].size();
  for (std::size_t i = 1; i < n; ++i)
    out[i] = where[joined + i - 1].size();
  return out;
}

result<box> make_region(const stored_tensor& tensor,
                        const weight_segment& segment) {
  auto n = tensor.extents.size();
  if (n > box::max_dims)
    return fail(errc::invalid, fmt::format("the tensor has {} dimensions, at "
                                           "most {} are allowed",
                                           n, box::max_dims));
  if (segment.local_begin.size() != n)
    return fail(errc::invalid, fmt::format("local_begin has {} entries, but "
                                           "the tensor {} dimensions",
                                           segment.local_begin.size(), n));
  auto extents = region_extents(tensor, segment);
  if (!extents)
    return fail(extents.error());
  std::array<std::int64_t, box::max_dims> end{};
  for (std::size_t i = 0; i < n; ++i) {
    auto begin = segment.local_begin[i];
    if (begin < 0 || __builtin_add_overflow(begin, (*extents)[i], &end[i])
        || end[i] > tensor.extents[i])
      return fail(errc::invalid,
                  fmt::format("its region of {} from {} on in dimension {} "
                              "lies outside of the tensor's shape {}",
                              (*extents)[i], begin, i,
                              to_string(tensor.extents)));
  }
  return box::make(segment.local_begin, std::span{end}.first(n));
}

} // namespace

result<box> local_region(const stored_tensor& tensor,
                         const weight_segment& segment) {
  auto region = make_region(tensor, segment);
  if (!region)
    return fail(region.error().within(
      fmt::format("tensor '{}': segment '{}' {}", tensor.name, segment.logical,
                  to_string(segment.where))));
  return region;
}

result<weight_segment> whole_segment(const std::string& name,
                                     const shape& extents) {
  auto where = box::whole(extents);
  if (!where)
    return fail(where.error().within(fmt::format("tensor '{}'", name)));
  return weight_segment{name, *where,
                        std::vector<std::int64_t>(extents.size(), 0)};
}

} // namespace troupe
