// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "troupe/planner/placement.hpp"

namespace troupe::planner::testing {

/// A placement strategy small enough to check by eye: each colocation group,
/// then each other model, takes the next devices; members of a group all begin
/// at its first one. Destinations are reversed if the job says so.
inline result<placement> simple_place(const job_spec& job,
                                      const cluster& machines) {
  placement plan;
  plan.models.resize(job.models.size());
  std::int32_t next = 0;
  auto groups = job.colocation;
  for (const auto& model : job.models)
    if (std::none_of(groups.begin(), groups.end(), [&model](const auto& group) {
          return std::count(group.begin(), group.end(), model.name) > 0;
        }))
      groups.push_back({model.name});
  for (const auto& group : groups) {
    std::int32_t widest = 0;
    for (const auto& name : group) {
      auto spec = std::find_if(job.models.begin(), job.models.end(),
                               [&name](const auto& x) {
                                 return x.name == name;
                               });
      if (spec == job.models.end())
        return fail(errc::invalid, "unknown model " + name);
      if (spec->on_cpu()) {
        auto& cpu = plan.models[static_cast<std::size_t>(spec
                                                         - job.models.begin())];
        cpu.name = name;
        cpu.replicas.assign(static_cast<std::size_t>(spec->num_replica),
                            replica_place{{rank_place{node_id{0}, {}}}});
        continue;
      }
      auto ranks = static_cast<std::int32_t>(spec->parallel.world());
      if (ranks * spec->num_replica != spec->num_gpu)
        return fail(errc::invalid, "sizes of " + name + " do not divide");
      if (next + spec->num_gpu > machines.num_device())
        return fail(errc::exhausted, "not enough devices for " + name);
      widest = std::max(widest, spec->num_gpu);
      auto& place = plan.models[static_cast<std::size_t>(spec
                                                         - job.models.begin())];
      place.name = name;
      place.reversed = group.size() > 1
                       && job.order == placement_order::reversed
                       && std::any_of(job.syncs.begin(), job.syncs.end(),
                                      [&name](const auto& x) {
                                        return x.destination == name;
                                      });
      for (const auto& other : group)
        if (other != name)
          place.colocated.push_back(other);
      std::int32_t used = 0;
      for (std::int32_t replica = 0; replica < spec->num_replica; ++replica) {
        place.replicas.emplace_back();
        for (std::int32_t rank = 0; rank < ranks; ++rank, ++used) {
          auto device = next
                        + (place.reversed ? spec->num_gpu - 1 - used : used);
          rank_place at;
          at.devices.push_back(device_id{device});
          at.node = machines.node_of(at.devices.front());
          place.replicas.back().ranks.push_back(at);
        }
      }
      place.reasons.push_back("takes the next " + std::to_string(spec->num_gpu)
                              + " devices");
    }
    next += widest;
  }
  return plan;
}

} // namespace troupe::planner::testing
