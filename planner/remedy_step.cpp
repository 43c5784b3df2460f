// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/remedy_step.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "troupe/planner/model_memory.hpp"

namespace troupe::planner {

namespace {

model_profile* profile_of(remedy_draft& x, std::string_view name) {
  for (auto& profile : x.profiles)
    if (profile.name == name)
      return &profile;
  return nullptr;
}

const model_profile* profile_of(const remedy_draft& x, std::string_view name) {
  for (const auto& profile : x.profiles)
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

bool divides_heads(const model_profile& profile, std::int32_t tensor) {
  return !profile.shape || profile.shape->num_attention_heads % tensor == 0;
}

/// Collects steps; those added between two calls of `next_slot` exclude each
/// other.
class step_list {
public:
  void next_slot() { ++slot_; }

  void add(step_kind what, std::size_t model, std::int32_t size = 0,
           int weight = 1) {
    steps_.push_back({what, slot_, model, size, weight});
  }

  std::vector<remedy_step> take() { return std::move(steps_); }

private:
  std::vector<remedy_step> steps_;
  std::size_t slot_ = 0;
};

void add_offloads(const remedy_draft& base, step_list& out) {
  // Fewest bytes first: they travel twice in each iteration.
  std::vector<std::pair<std::uint64_t, std::size_t>> order;
  for (std::size_t i = 0; i < base.job.models.size(); ++i) {
    const auto& model = base.job.models[i];
    const auto* profile = profile_of(base, model.name);
    if (profile != nullptr && !profile->offload && !model.on_cpu())
      order.emplace_back(idle_memory(*profile, model.parallel, 0).total(), i);
  }
  std::sort(order.begin(), order.end());
  for (const auto& entry : order) {
    out.next_slot();
    out.add(step_kind::offload, entry.second);
  }
}

bool raise_tensor(const remedy_step& step, remedy_draft& x) {
  auto& spec = x.job.models[step.model];
  auto before = spec.parallel.tensor;
  std::string_view what;
  std::int32_t left = 0;
  // The devices stay the same: fewer data copies or fewer replicas.
  if (spec.parallel.data % step.size == 0) {
    left = spec.parallel.data /= step.size;
    what = "data copies";
  } else if (spec.num_replica % step.size == 0) {
    left = spec.num_replica /= step.size;
    what = "replicas";
  } else {
    return false;
  }
  spec.parallel.tensor *= step.size;
  const auto* profile = profile_of(std::as_const(x), spec.name);
  auto heads = profile == nullptr
                   || divides_heads(*profile, spec.parallel.tensor)
                 ? std::string{}
                 : fmt::format("; it does not divide the {} attention heads, "
                               "which most engines refuse",
                               profile->shape->num_attention_heads);
  x.notes.push_back(fmt::format("raise tensor_model_parallel_size of {} from "
                                "{} to {} ({} left: {}{})",
                                spec.name, before, spec.parallel.tensor, what,
                                left, heads));
  return true;
}

bool leave_colocation(const remedy_step& step, remedy_draft& x) {
  const auto& name = x.job.models[step.model].name;
  auto& groups = x.job.colocation;
  for (auto group = groups.begin(); group != groups.end(); ++group) {
    auto found = std::find(group->begin(), group->end(), name);
    if (found == group->end())
      continue;
    group->erase(found);
    if (group->size() < 2)
      groups.erase(group);
    x.notes.push_back(fmt::format("take {} out of its colocation group", name));
    return true;
  }
  // Its group had two, and the other one has left.
  return false;
}

bool lower_replicas(const remedy_step& step, remedy_draft& x) {
  auto& spec = x.job.models[step.model];
  if (step.size >= spec.num_replica)
    return false;
  auto each = spec.num_gpu / spec.num_replica;
  x.notes.push_back(fmt::format("lower the replicas of {} from {} to {} "
                                "(num_gpu: {})",
                                spec.name, spec.num_replica, step.size,
                                each * step.size));
  spec.num_replica = step.size;
  spec.num_gpu = each * step.size;
  return true;
}

} // namespace

std::string remedy_draft::text() const {
  std::string out;
  for (std::size_t i = 0; i < offloaded.size(); ++i) {
    std::string_view before = i == 0                     ? ""
                              : i + 1 < offloaded.size() ? ", "
                                                         : " and ";
    out += fmt::format("{}{}", i == 0 ? "set offload: true for " : before,
                       offloaded[i]);
  }
  for (const auto& note : notes)
    out += fmt::format("{}{}", out.empty() ? "" : ", and ", note);
  return out;
}

std::vector<remedy_step> list_steps(const remedy_draft& base,
                                    const cluster& machines) {
  step_list out;
  const auto& models = base.job.models;
  for (std::size_t i = 0; i < models.size(); ++i) {
    const auto* profile = profile_of(base, models[i].name);
    if (profile == nullptr || profile->role != model_role::train
        || profile->distributed_optimizer
        || models[i].parallel.data * models[i].parallel.context < 2)
      continue;
    out.next_slot();
    out.add(step_kind::shard_optimizer, i);
  }
  add_offloads(base, out);
  auto most = devices_per_node(machines);
  for (std::size_t i = 0; i < models.size(); ++i) {
    const auto* profile = profile_of(base, models[i].name);
    auto tensor = models[i].parallel.tensor;
    if (profile == nullptr || models[i].on_cpu() || tensor < 1)
      continue;
    out.next_slot();
    for (std::int32_t by = 2; by <= most && tensor <= most / by; by *= 2)
      out.add(step_kind::larger_tensor, i, by,
              divides_heads(*profile, tensor * by) ? 1 : 2);
  }
  for (const auto& group : base.job.colocation)
    for (std::size_t k = 0; k < group.size() && group.size() > 1; ++k)
      for (std::size_t i = 0; i < models.size(); ++i)
        if (models[i].name == group[k]) {
          out.next_slot();
          out.add(step_kind::leave_colocation, i);
        }
  for (std::size_t i = 0; i < models.size(); ++i) {
    if (models[i].on_cpu() || models[i].num_replica < 2)
      continue;
    out.next_slot();
    for (auto left = models[i].num_replica / 2; left >= 1; left /= 2)
      out.add(step_kind::fewer_replicas, i, left);
  }
  return out.take();
}

bool apply(const remedy_step& step, remedy_draft& x) {
  const auto& name = x.job.models[step.model].name;
  switch (step.what) {
    case step_kind::shard_optimizer:
      profile_of(x, name)->distributed_optimizer = true;
      x.notes.push_back(
        fmt::format("set distributed_optimizer: true for {}", name));
      return true;
    case step_kind::offload:
      profile_of(x, name)->offload = true;
      x.offloaded.push_back(name);
      return true;
    case step_kind::larger_tensor: return raise_tensor(step, x);
    case step_kind::leave_colocation: return leave_colocation(step, x);
    case step_kind::fewer_replicas: return lower_replicas(step, x);
  }
  return false;
}

} // namespace troupe::planner
