// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "troupe/core/transfer_plan.hpp"
#include "troupe/planner/weights/shared_layout.hpp"

namespace troupe::planner::weights {

/// At most so many sentences; one more says how many were left out.
inline constexpr std::size_t max_problems = 1000;

/// What is wrong with a plan between two layouts, however it was made: a
/// sentence each, with rank, tensor and box. Empty if the plan
///
/// * brings every element that a destination rank stores to it exactly once:
///   what is uncovered or written twice is named, also where two segments
///   claim one element of a stored tensor;
/// * sends only what the source rank holds, and only where it is stored;
/// * knows all its ranks and tensors, between which types can be converted and
///   dimensions agree.
///
/// Ranks with the same problem share a sentence. O(n log n) for n pairs of
/// rank and box, needed or arrived.
[[nodiscard]] std::vector<std::string> verify(const transfer_plan& plan,
                                              const shared_layout& source,
                                              const shared_layout& destination);

} // namespace troupe::planner::weights
