// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/planning/evaluation.hpp"

#include <limits>

#include "troupe/apps/planning/problem.hpp"
#include "troupe/planner/memory_fit.hpp"

namespace troupe::planning {

result<evaluation> evaluate(const planner::plan_problem& problem) {
  auto plan = planner::place(problem.job, problem.machines);
  if (!plan)
    return fail(plan.error());
  evaluation out;
  out.plan = std::move(*plan);
  if (problem.profiles.empty())
    return out;
  auto predict = [&problem](const planner::job_spec& job,
                            const planner::placement& where,
                            std::span<const planner::model_profile> profiles) {
    return planner::predict_iteration(where, job, problem.machines, profiles,
                                      problem.work, problem.costs);
  };
  planner::memory_fit_options options;
  options.settings = problem.memory;
  options.cost = [&predict](const auto& job, const auto& where,
                            std::span<const planner::model_profile> profiles) {
    auto x = predict(job, where, profiles);
    return x ? x->total() : std::numeric_limits<double>::infinity();
  };
  auto memory = planner::check_memory(out.plan, problem.job, problem.machines,
                                      problem.profiles, planner::place,
                                      options);
  if (!memory)
    return fail(memory.error());
  out.memory = std::move(*memory);
  auto prediction = predict(problem.job, out.plan, problem.profiles);
  if (!prediction)
    return fail(prediction.error());
  out.prediction = std::move(*prediction);
  for (auto& text : profile_warnings(problem))
    out.plan.warnings.push_back(std::move(text));
  return out;
}

planner::report::plan_inputs inputs_of(const planner::plan_problem& problem,
                                       const evaluation& x) {
  return {problem.job,
          problem.machines,
          x.plan,
          problem.profiles,
          x.memory ? &*x.memory : nullptr,
          x.prediction ? &*x.prediction : nullptr};
}

} // namespace troupe::planning
