// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "troupe/core/error.hpp"
#include "troupe/planner/candidate.hpp"
#include "troupe/planner/report/plan_view.hpp"

namespace troupe::planning {

/// A problem's plan as it was given, with everything known of it.
struct evaluation {
  planner::placement plan;
  /// Both only if there is a profile.
  std::optional<planner::memory_report> memory;
  std::optional<planner::iteration_prediction> prediction;
};

/// Places the job, checks that it fits and predicts its time. Fails as the
/// planner does: `errc::invalid` for what is wrong with the job,
/// `errc::exhausted` for too few devices or too little memory, with the
/// cheapest change that fits; the cheapest is the one with the least predicted
/// time.
[[nodiscard]] result<evaluation> evaluate(const planner::plan_problem& problem);

/// What the reports take. Borrows from both.
[[nodiscard]] planner::report::plan_inputs
inputs_of(const planner::plan_problem& problem, const evaluation& x);

} // namespace troupe::planning
