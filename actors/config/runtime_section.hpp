// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/actors/config/job_config.hpp"
#include "troupe/actors/config/problem_list.hpp"
#include "troupe/actors/config/schema.hpp"
#include "troupe/actors/config/yaml_tree.hpp"

namespace troupe::config {

/// Reads `runtime` into `job.runtime`; `job.models` must be there already.
/// `node` may be null: all defaults.
void read_runtime(const yaml_node* node, int line, const app_schema& schema,
                  problem_list& problems, job_config& job);

} // namespace troupe::config
