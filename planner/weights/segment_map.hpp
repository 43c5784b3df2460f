// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "troupe/core/transfer_plan.hpp"
#include "troupe/core/weight_layout.hpp"

namespace troupe::planner::weights {

/// Where a box lies in a stored tensor: equal runs of elements, as far apart as
/// the loops say.
struct memory_runs {
  /// First element.
  std::uint64_t offset = 0;
  /// Elements that follow each other.
  std::uint64_t run = 1;
  /// Strides in elements, outermost first.
  std::vector<memory_loop> loops;
};

/// Finds logical elements in the memory of a segment's stored tensor.
class segment_map {
public:
  /// The segment must lie inside the tensor (`local_region`).
  segment_map(const stored_tensor& tensor, const weight_segment& segment);

  /// The runs of `where`, a box inside the segment's, in row-major order, as
  /// few as there are.
  [[nodiscard]] memory_runs runs_of(const box& where) const;

private:
  box where_;
  std::int64_t base_ = 0;
  /// Elements from one to the next, by logical dimension.
  std::array<std::int64_t, box::max_dims> strides_{};
};

} // namespace troupe::planner::weights
