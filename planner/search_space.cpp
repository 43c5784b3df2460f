// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/search_space.hpp"

#include <algorithm>
#include <set>

namespace troupe::planner {

namespace {

using partition = std::vector<std::vector<std::size_t>>;

partition given_colocation(const job_spec& job,
                           const std::vector<std::size_t>& models) {
  partition groups;
  std::set<std::size_t> seen;
  for (const auto& names : job.colocation) {
    std::vector<std::size_t> group;
    for (const auto& name : names)
      for (auto i : models)
        if (job.models[i].name == name && seen.insert(i).second)
          group.push_back(i);
    if (!group.empty())
      groups.push_back(std::move(group));
  }
  for (auto i : models)
    if (seen.insert(i).second)
      groups.push_back({i});
  return groups;
}

void extend(const std::vector<std::size_t>& models, std::size_t next,
            partition& groups, std::vector<partition>& out) {
  if (next == models.size()) {
    out.push_back(groups);
    return;
  }
  for (std::size_t i = 0; i < groups.size(); ++i) {
    groups[i].push_back(models[next]);
    extend(models, next + 1, groups, out);
    groups[i].pop_back();
  }
  groups.push_back({models[next]});
  extend(models, next + 1, groups, out);
  groups.pop_back();
}

partition sorted(partition x) {
  for (auto& group : x)
    std::sort(group.begin(), group.end());
  std::sort(x.begin(), x.end());
  return x;
}

/// The fastest link that two devices can have.
link_class best_link(const cost_model& costs, const node_spec& where) {
  auto best = link_class::domain;
  for (auto link : {link_class::node, link_class::network})
    if (bandwidth_of(costs, link, where) > bandwidth_of(costs, best, where))
      best = link;
  return best;
}

/// True if some device holds the fullest rank when nobody else is there.
bool fits_alone(const plan_problem& problem, const model_spec& spec,
                const model_profile& profile) {
  std::uint64_t limit = 0;
  for (const auto& node : problem.machines.nodes)
    for (const auto& device : node.devices) {
      if (device.memory_bytes == 0)
        return true;
      limit = std::max(limit, device.memory_bytes);
    }
  auto share = static_cast<std::uint64_t>(std::max(1, spec.gpu_per_process));
  for (std::int32_t stage = 0; stage < spec.parallel.pipeline; ++stage)
    for (auto when : {phase::generation, phase::training}) {
      auto bytes = active_memory(profile, spec.parallel, stage, when,
                                 problem.memory)
                     .total()
                   / share;
      if (is_active(profile.role, when)
          && bytes + problem.memory.reserve_bytes > limit)
        return false;
    }
  return true;
}

} // namespace

std::vector<partition> colocations_of(const job_spec& job) {
  std::vector<std::size_t> models;
  for (std::size_t i = 0; i < job.models.size(); ++i)
    if (!job.models[i].on_cpu())
      models.push_back(i);
  std::vector<partition> out{given_colocation(job, models)};
  std::vector<partition> others;
  if (models.size() <= max_partitioned_models) {
    partition groups;
    extend(models, 0, groups, others);
  } else {
    others.push_back({models});
    others.emplace_back();
    for (auto i : models)
      others.back().push_back({i});
  }
  auto given = sorted(out.front());
  for (auto& x : others)
    if (x != given)
      out.push_back(std::move(x));
  return out;
}

std::vector<std::vector<std::string>> names_of(const job_spec& job,
                                               const partition& groups) {
  std::vector<std::vector<std::string>> out;
  for (const auto& group : groups) {
    if (group.size() < 2)
      continue;
    out.emplace_back();
    for (auto i : group)
      out.back().push_back(job.models[i].name);
  }
  return out;
}

std::vector<size_option> size_options(const plan_problem& problem,
                                      const model_spec& spec) {
  const auto* profile = find_profile(problem.profiles, spec.name);
  if (profile == nullptr || spec.on_cpu() || problem.machines.nodes.empty())
    return {{spec, 0}};
  std::int64_t on_node = 0;
  for (const auto& node : problem.machines.nodes)
    on_node = std::max(on_node, static_cast<std::int64_t>(node.devices.size()));
  std::int64_t devices = problem.machines.num_device();
  std::set<std::int32_t> tensors{spec.parallel.tensor};
  for (std::int32_t x = 1; x <= on_node / std::max(1, spec.gpu_per_process);
       x *= 2)
    if (!profile->shape || profile->shape->num_attention_heads % x == 0)
      tensors.insert(x);
  auto trained = profile->role == model_role::train;
  const auto& where = problem.machines.nodes.front();
  auto link = best_link(problem.costs, where);
  std::vector<size_option> out;
  for (auto tensor : tensors) {
    auto option = spec;
    option.parallel.tensor = tensor;
    auto& copies = trained ? option.parallel.data : option.num_replica;
    auto given = copies;
    copies = 1;
    auto one = option.parallel.world() * option.num_replica
               * option.gpu_per_process;
    if (one < 1 || one > devices)
      continue;
    auto most = static_cast<std::int32_t>(devices / one);
    std::set<std::int32_t> counts{most};
    if (given <= most)
      counts.insert(given);
    for (std::int32_t x = 1; x <= most; x *= 2)
      counts.insert(x);
    for (auto count : counts) {
      copies = count;
      option.num_gpu = static_cast<std::int32_t>(one * count);
      if (parallel_layout::make(option.parallel, profile->order)
          && fits_alone(problem, option, *profile))
        out.push_back(
          {option, model_seconds(option, *profile, problem.work, problem.costs,
                                 where, {link, link})});
    }
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const size_option& a, const size_option& b) {
                     return a.least_seconds < b.least_seconds;
                   });
  return out;
}

} // namespace troupe::planner
