// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "troupe/actors/config/job_config.hpp"
#include "troupe/actors/config/node_file.hpp"
#include "troupe/actors/config/schema.hpp"
#include "troupe/apps/planning/arguments.hpp"
#include "troupe/core/error.hpp"
#include "troupe/planner/candidate.hpp"

namespace troupe::planning {

/// The machines that the command line describes. `--devices` gives one node with
/// this machine's number of cores. Its devices' memory is unknown unless they
/// are GPUs that this machine has; those that are named need not be here.
[[nodiscard]] result<config::node_file>
load_machines(const plan_arguments& args, const config::job_config& config);

/// A resolved configuration as the planner wants it. Reads the `config.json`
/// files that profiles name, which lie beside `config_file`. The frequency of a
/// sync is that of its destination, unless the schema says never (0).
[[nodiscard]] result<planner::plan_problem>
make_problem(const config::job_config& config, const config::app_schema& schema,
             config::node_file machines, const std::string& config_file);

/// Both, from the files that `args` name. `errc::invalid` with all problems of
/// a file, one a line.
[[nodiscard]] result<planner::plan_problem>
load_problem(const config::app_schema& schema, const plan_arguments& args);

/// What is odd about the profiles of a job, a sentence each: sizes that do not
/// divide a model's heads or layers, nobody who generates.
[[nodiscard]] std::vector<std::string>
profile_warnings(const planner::plan_problem& problem);

} // namespace troupe::planning
