// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/memory_remedy.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace troupe::planner {

namespace {

struct change {
  std::string text;
  job_spec job;
  std::vector<model_profile> profiles;
};

model_profile* profile_of(change& x, std::string_view name) {
  for (auto& profile : x.profiles)
    if (profile.name == name)
      return &profile;
  return nullptr;
}

std::int32_t devices_per_node(const cluster& machines) {
  std::size_t most = 0;
  for (const auto& node : machines.nodes)
    most = std::max(most, node.devices.size());
  return static_cast<std::int32_t>(most);
}

/// `base` with one more step, its text joined.
change step(const change& base, std::string text) {
  auto next = base;
  next.text = base.text.empty() ? std::move(text)
                                : fmt::format("{}, and {}", base.text, text);
  return next;
}

void shard_optimizers(const change& base, std::vector<change>& out) {
  for (const auto& model : base.job.models) {
    auto next = step(base, fmt::format("set distributed_optimizer: true for "
                                       "{}",
                                       model.name));
    auto* profile = profile_of(next, model.name);
    if (profile == nullptr || profile->role != model_role::train
        || profile->distributed_optimizer
        || model.parallel.data * model.parallel.context < 2)
      continue;
    profile->distributed_optimizer = true;
    out.push_back(std::move(next));
  }
}

void offload_one(const change& base, std::vector<change>& out) {
  // Fewest bytes first: they travel twice in each iteration.
  std::vector<std::pair<std::uint64_t, std::string>> order;
  for (const auto& model : base.job.models) {
    auto copy = base;
    const auto* profile = profile_of(copy, model.name);
    if (profile != nullptr && !profile->offload && !model.on_cpu())
      order.emplace_back(idle_memory(*profile, model.parallel, 0).total(),
                         model.name);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) {
                     return a.first < b.first;
                   });
  for (const auto& entry : order) {
    auto next = step(base,
                     fmt::format("set offload: true for {}", entry.second));
    profile_of(next, entry.second)->offload = true;
    out.push_back(std::move(next));
  }
}

void offload_all(const change& base, std::vector<change>& out) {
  auto next = step(base, "set offload: true for all models");
  for (auto& profile : next.profiles)
    profile.offload = true;
  out.push_back(std::move(next));
}

/// Twice, four times... the tensor size on the same devices: fewer data copies
/// or fewer replicas.
void larger_tensor(const change& base, const cluster& machines,
                   std::vector<change>& out) {
  auto most = devices_per_node(machines);
  for (std::size_t i = 0; i < base.job.models.size(); ++i) {
    const auto& model = base.job.models[i];
    auto copy = base;
    const auto* profile = profile_of(copy, model.name);
    if (profile == nullptr || model.on_cpu())
      continue;
    for (std::int32_t by = 2; model.parallel.tensor <= most / by; by *= 2) {
      auto tensor = model.parallel.tensor * by;
      if (profile->shape && profile->shape->num_attention_heads % tensor != 0)
        break;
      auto next = step(base, {});
      auto& spec = next.job.models[i];
      spec.parallel.tensor = tensor;
      std::string_view what;
      std::int32_t left = 0;
      if (spec.parallel.data % by == 0) {
        left = spec.parallel.data /= by;
        what = "data copies";
      } else if (spec.num_replica % by == 0) {
        left = spec.num_replica /= by;
        what = "replicas";
      } else {
        break;
      }
      auto text = fmt::format("raise tensor_model_parallel_size of {} from {} "
                              "to {} ({} left: {})",
                              spec.name, model.parallel.tensor, tensor, what,
                              left);
      next.text = base.text.empty()
                    ? std::move(text)
                    : fmt::format("{}, and {}", base.text, text);
      out.push_back(std::move(next));
    }
  }
}

void leave_colocation(const change& base, std::vector<change>& out) {
  for (std::size_t group = 0; group < base.job.colocation.size(); ++group) {
    const auto& names = base.job.colocation[group];
    if (names.size() < 2)
      continue;
    for (std::size_t i = 0; i < names.size(); ++i) {
      auto next = step(base, fmt::format("take {} out of its colocation group",
                                         names[i]));
      auto& left = next.job.colocation[group];
      left.erase(left.begin() + static_cast<std::ptrdiff_t>(i));
      if (left.size() < 2)
        next.job.colocation.erase(next.job.colocation.begin()
                                  + static_cast<std::ptrdiff_t>(group));
      out.push_back(std::move(next));
    }
  }
}

void fewer_replicas(const change& base, std::vector<change>& out) {
  for (std::size_t i = 0; i < base.job.models.size(); ++i) {
    const auto& model = base.job.models[i];
    if (model.on_cpu() || model.num_replica < 2)
      continue;
    auto each = model.num_gpu / model.num_replica;
    for (auto left = model.num_replica / 2; left >= 1; left /= 2) {
      auto next = step(base,
                       fmt::format("lower the replicas of {} from {} to {} "
                                   "(num_gpu: {})",
                                   model.name, model.num_replica, left,
                                   each * left));
      next.job.models[i].num_replica = left;
      next.job.models[i].num_gpu = each * left;
      out.push_back(std::move(next));
    }
  }
}

std::vector<change> single_changes(const change& base,
                                   const cluster& machines) {
  std::vector<change> all;
  shard_optimizers(base, all);
  offload_one(base, all);
  larger_tensor(base, machines, all);
  leave_colocation(base, all);
  fewer_replicas(base, all);
  return all;
}

} // namespace

std::optional<memory_remedy>
find_remedy(const job_spec& job, const cluster& machines,
            std::span<const model_profile> profiles,
            const place_function& place, const memory_fit_options& options) {
  std::optional<memory_remedy> best;
  double best_cost = 0;
  auto consider = [&](change& x) {
    auto plan = place(x.job, machines);
    if (!plan)
      return;
    auto report = estimate_memory(*plan, x.job, machines, x.profiles,
                                  options.settings);
    if (!report || report->worst() != nullptr)
      return;
    auto cost = options.cost ? options.cost(x.job, *plan, x.profiles) : 0;
    if (best && cost >= best_cost)
      return;
    std::uint64_t peak = 0;
    for (const auto& device : report->devices)
      peak = std::max(peak, device.peak());
    best_cost = cost;
    best = memory_remedy{std::move(x.text), std::move(x.job),
                         std::move(x.profiles), peak};
  };
  // Without a cost the first that fits is the cheapest.
  auto try_all = [&](std::vector<change> changes) {
    for (auto& x : changes) {
      consider(x);
      if (best && !options.cost)
        return;
    }
  };
  change base{{}, job, {profiles.begin(), profiles.end()}};
  auto singles = single_changes(base, machines);
  try_all(singles);
  if (best)
    return best;
  // Two at once: everything offloaded with one more, then any two.
  std::vector<change> all;
  offload_all(base, all);
  try_all(all);
  if (best)
    return best;
  try_all(single_changes(all.front(), machines));
  if (best)
    return best;
  constexpr std::size_t most_pairs = 400;
  std::size_t tried = 0;
  for (const auto& first : singles) {
    auto seconds = single_changes(first, machines);
    tried += seconds.size();
    try_all(std::move(seconds));
    if (best || tried > most_pairs)
      return best;
  }
  return best;
}

} // namespace troupe::planner
