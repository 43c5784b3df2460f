// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/weights/segment_map.hpp"

#include <algorithm>

namespace troupe::planner::weights {

segment_map::segment_map(const stored_tensor& tensor,
                         const weight_segment& segment)
  : where_(segment.where) {
  auto m = where_.dims();
  auto n = tensor.extents.size();
  if (n == 0)
    return; // One element.
  auto stored = row_major_strides(tensor.extents);
  for (std::size_t i = 0; i < n; ++i)
    base_ += segment.local_begin[i] * stored[i];
  if (n >= m) {
    for (std::size_t i = 0; i < m; ++i)
      strides_[i] = stored[n - m + i];
    return;
  }
  auto joined = m - n + 1;
  for (std::size_t i = joined; i < m; ++i)
    strides_[i] = stored[i - joined + 1];
  auto step = stored[0];
  for (auto i = joined; i-- > 0;) {
    strides_[i] = step;
    step *= where_[i].size();
  }
}

memory_runs segment_map::runs_of(const box& where) const {
  memory_runs out;
  auto offset = base_;
  // Loops from the inside to the outside.
  for (auto i = where.dims(); i-- > 0;) {
    offset += (where[i].begin - where_[i].begin) * strides_[i];
    if (where[i].size() == 1)
      continue;
    auto count = static_cast<std::uint64_t>(where[i].size());
    auto stride = static_cast<std::uint64_t>(strides_[i]);
    if (out.loops.empty() && stride == out.run) {
      out.run *= count;
      continue;
    }
    auto* inner = out.loops.empty() ? nullptr : &out.loops.back();
    if (inner != nullptr && stride == inner->count * inner->stride_bytes)
      inner->count *= count;
    else
      out.loops.push_back({count, stride});
  }
  std::ranges::reverse(out.loops);
  out.offset = static_cast<std::uint64_t>(offset);
  return out;
}

} // namespace troupe::planner::weights
