// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "troupe/apps/golden_check/case_set.hpp"
#include "troupe/planner/chatlearn/placement.hpp"
#include "troupe/planner/cluster.hpp"
#include "troupe/planner/model_spec.hpp"

namespace troupe::golden {

/// The entries of `models` in the form ChatLearn's rules take, and in that of
/// Troupe's own strategy.
[[nodiscard]] std::vector<planner::chatlearn::local_model>
read_local_models(const json& in);

[[nodiscard]] std::vector<planner::model_spec> read_model_specs(const json& in);

[[nodiscard]] planner::chatlearn::machines read_machines(const json& in);

[[nodiscard]] std::vector<planner::chatlearn::sync_names>
read_syncs(const json& in);

/// What is wrong with the plan that Troupe's own strategy makes for a case
/// that ChatLearn gets wrong; empty if it is sound or refused with a reason.
[[nodiscard]] std::vector<std::string>
own_plan_problems(const json& in,
                  const std::vector<std::vector<std::string>>& colocation);

} // namespace troupe::golden
