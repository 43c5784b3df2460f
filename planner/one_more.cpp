// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/one_more.hpp"

#include <algorithm>
#include <optional>

#include <fmt/core.h>

namespace troupe::planner {

namespace {

/// By device: how many replicas hold it, and whether one of the model does.
struct load {
  std::int32_t held = 0;
  bool taken = false;
};

std::vector<load> loads(const placement& plan, const cluster& machines,
                        std::string_view model) {
  std::vector<load> out(static_cast<std::size_t>(machines.num_device()));
  for (const auto& x : plan.models)
    for (const auto& replica : x.replicas)
      for (const auto& rank : replica.ranks)
        for (auto device : rank.devices) {
          auto i = static_cast<std::size_t>(device.value());
          if (device.value() < 0 || i >= out.size())
            continue;
          ++out[i].held;
          out[i].taken = out[i].taken || x.name == model;
        }
  return out;
}

replica_place on_cpu(const model_place& held, std::size_t world,
                     const cluster& machines) {
  std::vector<std::int32_t> count(machines.nodes.size());
  for (const auto& replica : held.replicas)
    for (const auto& rank : replica.ranks)
      if (rank.node.value() >= 0
          && static_cast<std::size_t>(rank.node.value()) < count.size())
        ++count[static_cast<std::size_t>(rank.node.value())];
  auto least = std::ranges::min_element(count) - count.begin();
  rank_place seat{node_id{static_cast<std::int32_t>(least)}, {}};
  return {std::vector<rank_place>(world, seat)};
}

} // namespace

result<replica_place> place_one_more(const placement& plan, const job_spec& job,
                                     const cluster& machines,
                                     std::string_view model) {
  const auto* spec = find_spec(job, model);
  const auto* held = plan.find(model);
  if (!spec || !held || machines.nodes.empty())
    return fail(errc::invalid, fmt::format("there is no model '{}'", model));
  auto world = static_cast<std::size_t>(spec->parallel.world());
  if (spec->on_cpu())
    return on_cpu(*held, world, machines);
  auto each = static_cast<std::size_t>(spec->gpu_per_process);
  auto wanted = world * each;
  auto all = loads(plan, machines, model);
  // The first device of the best run of devices so far, and what holds it.
  std::optional<std::pair<std::int32_t, std::size_t>> best;
  std::size_t most = 0;
  std::size_t first = 0;
  for (const auto& node : machines.nodes) {
    auto end = first + node.devices.size();
    std::size_t free = 0;
    for (auto i = first; i < end; ++i)
      free += all[i].taken ? 0 : 1;
    most = std::max(most, free);
    for (auto at = first; at + wanted <= end; ++at) {
      std::int32_t sum = 0;
      auto usable = true;
      for (auto i = at; i < at + wanted; ++i) {
        usable = usable && !all[i].taken;
        sum += all[i].held;
      }
      if (usable && (!best || sum < best->first))
        best = {sum, at};
    }
    first = end;
  }
  if (!best && wanted == 1)
    return fail(errc::exhausted,
                fmt::format("another replica of {} needs a device that holds "
                            "none already, and there is none",
                            model));
  if (!best)
    return fail(errc::exhausted,
                fmt::format("another replica of {} needs {} devices next to "
                            "each other on one node that hold none already; "
                            "the most that a node has is {}",
                            model, wanted, most));
  replica_place out;
  for (std::size_t rank = 0; rank < world; ++rank) {
    rank_place seat;
    for (std::size_t i = 0; i < each; ++i)
      seat.devices.push_back(
        device_id{static_cast<std::int32_t>(best->second + rank * each + i)});
    seat.node = machines.node_of(seat.devices.front());
    out.ranks.push_back(std::move(seat));
  }
  return out;
}

} // namespace troupe::planner
