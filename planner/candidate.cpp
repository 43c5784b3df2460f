// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/candidate.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "troupe/core/units.hpp"

namespace troupe::planner {

namespace {

std::string format_seconds(double seconds) {
  constexpr double most = 1e9;
  return format_duration(std::chrono::nanoseconds{
    static_cast<std::int64_t>(std::clamp(seconds, 0.0, most) * 1e9)});
}

std::string sizes_of(const model_spec& x) {
  auto text = fmt::format("tensor {}", x.parallel.tensor);
  if (x.parallel.pipeline > 1)
    text += fmt::format(" x pipeline {}", x.parallel.pipeline);
  if (x.trainable || x.parallel.data > 1)
    text += fmt::format(" x data {}", x.parallel.data);
  if (!x.trainable)
    text += fmt::format(", {} replica{}", x.num_replica,
                        x.num_replica == 1 ? "" : "s");
  return text
         + fmt::format(" on {} device{}", x.num_gpu, x.num_gpu == 1 ? "" : "s");
}

std::string groups_of(const job_spec& job) {
  std::vector<std::string> groups;
  for (const auto& group : job.colocation)
    if (group.size() > 1)
      groups.push_back(fmt::format("{{{}}}", fmt::join(group, ", ")));
  return groups.empty() ? "no colocation"
                        : fmt::format("{}", fmt::join(groups, " "));
}

/// Groups as sets: their order and that of their members say nothing.
std::vector<std::vector<std::string>> normal_form(const job_spec& job) {
  std::vector<std::vector<std::string>> groups;
  for (auto group : job.colocation)
    if (group.size() > 1) {
      std::sort(group.begin(), group.end());
      groups.push_back(std::move(group));
    }
  std::sort(groups.begin(), groups.end());
  return groups;
}

} // namespace

result<plan_candidate> evaluate_candidate(const plan_problem& problem,
                                          job_spec job,
                                          std::vector<model_profile> profiles,
                                          const place_function& place) {
  auto plan = place(job, problem.machines);
  if (!plan)
    return fail(plan.error());
  auto memory = estimate_memory(*plan, job, problem.machines, profiles,
                                problem.memory);
  if (!memory)
    return fail(memory.error());
  if (const auto* worst = memory->worst())
    return fail(errc::exhausted,
                fmt::format("device {} needs {} of its {} in {}",
                            worst->device.value(), format_bytes(worst->peak()),
                            format_bytes(worst->limit),
                            to_string(worst->fullest_phase())));
  auto prediction = predict_iteration(*plan, job, problem.machines, profiles,
                                      problem.work, problem.costs);
  if (!prediction)
    return fail(prediction.error());
  plan_candidate x;
  for (const auto& device : memory->devices)
    x.peak_bytes = std::max(x.peak_bytes, device.peak());
  x.job = std::move(job);
  x.profiles = std::move(profiles);
  x.plan = std::move(*plan);
  x.prediction = std::move(*prediction);
  return x;
}

std::vector<std::string>
describe_changes(const job_spec& given,
                 std::span<const model_profile> given_profiles,
                 const job_spec& job, std::span<const model_profile> profiles) {
  std::vector<std::string> out;
  for (const auto& now : job.models)
    for (const auto& before : given.models)
      if (before.name == now.name && !(before == now))
        out.push_back(fmt::format("{}: {} instead of {}", now.name,
                                  sizes_of(now), sizes_of(before)));
  if (normal_form(given) != normal_form(job))
    out.push_back(fmt::format("colocation: {} instead of {}", groups_of(job),
                              groups_of(given)));
  if (given.order != job.order)
    out.push_back(job.order == placement_order::aligned
                    ? "placement: aligned instead of reversed, so that equal "
                      "ranks share a device"
                    : "placement: reversed instead of aligned, so that equal "
                      "ranks share no device");
  for (const auto& now : profiles)
    if (const auto* before = find_profile(given_profiles, now.name);
        before != nullptr && before->offload != now.offload)
      out.push_back(fmt::format("{}: offload: {}", now.name, now.offload));
  return out;
}

std::vector<std::string> compare_candidates(const plan_candidate& given,
                                            const plan_candidate& better) {
  auto out = describe_changes(given.job, given.profiles, better.job,
                              better.profiles);
  const auto& a = given.prediction;
  const auto& b = better.prediction;
  struct row {
    std::string_view name;
    double before;
    double now;
  };
  for (const auto& x : {row{"generation and scoring", a.generation_seconds,
                            b.generation_seconds},
                        row{"training", a.training_seconds, b.training_seconds},
                        row{"weight sync", a.sync_seconds, b.sync_seconds}}) {
    // Less than a thousandth of the episode is not worth a sentence.
    if (std::abs(x.before - x.now) < 1e-3 * a.total())
      continue;
    out.push_back(
      fmt::format("{} {} {} instead of {}", x.name,
                  x.now < x.before ? "takes only" : "takes, in return,",
                  format_seconds(x.now), format_seconds(x.before)));
  }
  for (const auto& now : b.models)
    for (const auto& before : a.models)
      if (now.name == before.name
          && std::abs(now.total() - before.total()) > 0.01 * a.total())
        out.push_back(fmt::format("{} is busy for {} instead of {}", now.name,
                                  format_seconds(now.total()),
                                  format_seconds(before.total())));
  return out;
}

} // namespace troupe::planner
