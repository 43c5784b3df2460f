// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/roster.hpp"

#include <fmt/core.h>

#include "troupe/planner/one_more.hpp"

namespace troupe::engine {

roster::roster(planner::job_spec job, planner::cluster machines,
               const planner::placement& plan)
  : job_(std::move(job)),
    machines_(std::move(machines)),
    first_(plan) {
  for (const auto& model : plan.models) {
    auto& replicas = models_[model.name];
    for (std::size_t i = 0; i < model.replicas.size(); ++i)
      replicas[replica_id{static_cast<std::int32_t>(i)}] = model.replicas[i];
  }
}

std::int32_t roster::num_replica(const std::string& model) const {
  auto i = models_.find(model);
  return i == models_.end() ? 0 : static_cast<std::int32_t>(i->second.size());
}

result<roster_change> roster::change(const std::string& model,
                                     std::int32_t num_replica) const {
  auto i = models_.find(model);
  if (i == models_.end())
    return fail(errc::invalid, fmt::format("there is no model '{}'", model));
  auto replicas = i->second;
  roster_change out;
  auto next = *this;
  while (static_cast<std::int32_t>(replicas.size()) < num_replica) {
    auto place = planner::place_one_more(next.plan(), job_, machines_, model);
    if (!place)
      return fail(place.error());
    replica_id id{0};
    while (replicas.count(id) > 0)
      id = replica_id{id.value() + 1};
    replicas[id] = *place;
    out.add.emplace_back(id, *place);
    next.apply(model, {{out.add.back()}, {}});
  }
  for (auto last = replicas.rbegin();
       static_cast<std::int32_t>(replicas.size() - out.remove.size())
       > num_replica;
       ++last)
    out.remove.push_back(last->first);
  return out;
}

void roster::apply(const std::string& model, const roster_change& x) {
  auto& replicas = models_[model];
  for (const auto& [id, place] : x.add)
    replicas[id] = place;
  for (auto id : x.remove)
    replicas.erase(id);
}

void roster::keep_only(const std::string& model,
                       const std::set<replica_id>& ids) {
  std::erase_if(models_[model],
                [&](const auto& x) { return ids.count(x.first) == 0; });
}

planner::placement roster::plan() const {
  auto out = first_;
  for (auto& model : out.models) {
    model.replicas.clear();
    for (const auto& [id, place] : models_.at(model.name))
      model.replicas.push_back(place);
  }
  return out;
}

std::vector<std::int32_t> roster::devices_per_node() const {
  std::vector<std::int32_t> out;
  for (const auto& x : machines_.nodes)
    out.push_back(static_cast<std::int32_t>(x.devices.size()));
  return out;
}

} // namespace troupe::engine
