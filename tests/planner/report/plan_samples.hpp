// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "planner/sample_job.hpp"
#include "planner/simple_place.hpp"
#include "troupe/planner/report/plan_view.hpp"

namespace troupe::planner::testing {

/// Owns what a report shows.
struct sample_plan {
  sample_job sample;
  cluster machines;
  placement plan;
  memory_report memory;
  iteration_prediction prediction;

  sample_plan(sample_job job, cluster where)
    : sample(std::move(job)),
      machines(std::move(where)) {
    plan = simple_place(sample.job, machines).value();
    memory = estimate_memory(plan, sample.job, machines, sample.profiles)
               .value();
    prediction = predict_iteration(plan, sample.job, machines, sample.profiles,
                                   workload{})
                   .value();
  }

  [[nodiscard]] report::plan_inputs inputs() const {
    return {sample.job, machines, plan, sample.profiles, &memory, &prediction};
  }
};

/// The sample job on one node.
inline sample_plan small_plan() {
  return {sample_job{}, machines_of(1, 8, 80 * gib)};
}

/// Seven models with long names on four nodes, one of them on CPU.
inline sample_plan wide_plan() {
  sample_job x;
  x.job.models.push_back(
    spec_of("a_value_model_with_a_very_long_descriptive_name", 4, 2, 1));
  x.job.models.push_back(spec_of("value_trainer", 8, 1, 1));
  x.job.models.push_back(spec_of("reward", 1, 1, 8));
  model_spec cpu;
  cpu.name = "rule_based_reward";
  cpu.num_cpu = 8;
  cpu.cpu_per_process = 1;
  cpu.num_replica = 8;
  cpu.num_gpu = 0;
  x.job.models.push_back(cpu);
  x.profiles.push_back(profile_of("value_trainer", model_role::train));
  x.profiles.push_back(profile_of("reward", model_role::score));
  x.job.syncs.push_back(
    {"value_trainer", "a_value_model_with_a_very_long_descriptive_name"});
  return {std::move(x), machines_of(4, 8, 80 * gib)};
}

} // namespace troupe::planner::testing
