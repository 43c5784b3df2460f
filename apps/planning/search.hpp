// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "troupe/core/error.hpp"
#include "troupe/planner/candidate.hpp"
#include "troupe/planner/optimize.hpp"

namespace troupe::planning {

/// `plan --optimize`: searches for at most `budget` seconds. The search also
/// ends after as many candidates as any machine can place in that time, so that
/// a budget gives the same result wherever it is not the clock that ends it.
/// Fails with `errc::invalid` without a profile: nothing could be compared.
[[nodiscard]] result<planner::optimize_result>
search(const planner::plan_problem& problem, double budget);

/// For people: the given plan, the best few and why each is better. No line
/// over 80 columns.
[[nodiscard]] std::string render_search(const planner::optimize_result& found,
                                        bool colour);

/// For programs: the schema `troupe.optimize/1` of docs/plan.md.
[[nodiscard]] std::string
render_search_json(const planner::optimize_result& found,
                   const planner::plan_problem& problem);

} // namespace troupe::planning
