// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "troupe/actors/config/problem_list.hpp"
#include "troupe/actors/config/profile_config.hpp"
#include "troupe/actors/config/yaml_tree.hpp"
#include "troupe/planner/cost_model.hpp"

namespace troupe::config {

/// Reads `models.NAME.profile`. A trainable model is trained unless the section
/// gives another role; any other scores. `node` must not be null. No file is
/// opened.
[[nodiscard]] profile_config read_profile(const yaml_node& node, int line,
                                          const std::string& model,
                                          bool trainable,
                                          problem_list& problems);

/// Reads `workload`: what an episode asks of the models. `node` may be null.
/// `samples` and `train_batch` are 0 if the section does not say.
[[nodiscard]] planner::workload read_workload(const yaml_node* node, int line,
                                              problem_list& problems);

} // namespace troupe::config
