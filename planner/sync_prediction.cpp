// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/sync_prediction.hpp"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>

namespace troupe::planner {

namespace {

/// All ranks that hold one pipeline x tensor box.
struct box_holders {
  std::vector<device_id> all;
  std::unordered_map<std::int32_t, std::vector<device_id>> by_node;
  std::size_t turn = 0;
};

struct grid {
  std::int32_t pipeline;
  std::int32_t tensor;

  [[nodiscard]] std::size_t index(std::int32_t stage,
                                  std::int32_t part) const noexcept {
    return static_cast<std::size_t>(stage) * static_cast<std::size_t>(tensor)
           + static_cast<std::size_t>(part);
  }
};

/// Calls `visit(device, stage, part)` for the first device of each rank.
template <class Visitor>
result<void> for_each_rank(const sync_end& end, const device_map& devices,
                           Visitor visit) {
  auto layout = parallel_layout::make(end.spec.parallel, end.profile.order);
  if (!layout)
    return fail(layout.error().within(end.spec.name));
  for (const auto& replica : end.place.replicas)
    for (std::size_t i = 0; i < replica.ranks.size(); ++i) {
      rank_id rank{static_cast<std::int32_t>(i)};
      const auto& held = replica.ranks[i].devices;
      if (!layout->contains(rank) || held.empty()
          || !devices.contains(held.front()))
        return fail(errc::invalid,
                    fmt::format("{}: the placement does not fit the parallel "
                                "sizes or the cluster",
                                end.spec.name));
      auto at = layout->coordinates_of(rank);
      visit(held.front(), at.at(dimension::pipeline), at.at(dimension::tensor));
    }
  return {};
}

struct traffic {
  std::array<double, num_link_class> in{};
  std::array<double, num_link_class> out{};

  [[nodiscard]] double total_out() const noexcept {
    return out[1] + out[2] + out[3];
  }
};

/// Overlap of [a/n, (a+1)/n) and [b/m, (b+1)/m) as a part of the latter.
double overlap(std::int64_t a, std::int64_t n, std::int64_t b,
               std::int64_t m) noexcept {
  auto begin = std::max(a * m, b * n);
  auto end = std::min((a + 1) * m, (b + 1) * n);
  return begin < end ? static_cast<double>(end - begin) / static_cast<double>(n)
                     : 0;
}

/// First and one past the last of `n` parts that meet part `b` of `m`.
std::pair<std::int32_t, std::int32_t> parts(std::int64_t n, std::int64_t b,
                                            std::int64_t m) noexcept {
  return {static_cast<std::int32_t>(b * n / m),
          static_cast<std::int32_t>(((b + 1) * n + m - 1) / m)};
}

} // namespace

result<sync_prediction> predict_sync(const sync_end& source,
                                     const sync_end& destination,
                                     const cluster& machines,
                                     const device_map& devices,
                                     const cost_model& costs) {
  sync_prediction x;
  x.source = source.spec.name;
  x.destination = destination.spec.name;
  const grid from{source.spec.parallel.pipeline, source.spec.parallel.tensor};
  std::unordered_map<std::size_t, box_holders> holders;
  auto ok = for_each_rank(source, devices,
                          [&](device_id device, auto stage, auto part) {
                            auto& box = holders[from.index(stage, part)];
                            box.all.push_back(device);
                            box.by_node[devices.node_of(device)].push_back(
                              device);
                          });
  if (!ok)
    return fail(ok.error());
  std::unordered_map<std::int32_t, traffic> by_device;
  auto nearest = [&](box_holders& box, device_id to) {
    auto here = box.by_node.find(devices.node_of(to));
    if (here == box.by_node.end())
      return box.all[box.turn++ % box.all.size()];
    const auto& near = here->second;
    return *std::min_element(near.begin(), near.end(),
                             [&](device_id a, device_id b) {
                               auto far_a = devices.between(a, to);
                               auto far_b = devices.between(b, to);
                               if (far_a != far_b)
                                 return far_a < far_b;
                               return by_device[a.value()].total_out()
                                      < by_device[b.value()].total_out();
                             });
  };
  const auto& sizes = destination.spec.parallel;
  std::vector<double> rank_bytes;
  auto width = static_cast<double>(size_of(destination.profile.weights));
  for (std::int32_t stage = 0; stage < std::max(1, sizes.pipeline); ++stage)
    rank_bytes.push_back(
      width
      * static_cast<double>(
        parameters_of_rank(destination.profile.parameters, sizes, stage)
          .total()));
  std::array<double, num_link_class> by_link{};
  ok = for_each_rank(destination, devices,
                     [&](device_id to, auto stage, auto part) {
                       auto bytes = rank_bytes[static_cast<std::size_t>(stage)];
                       auto stages = parts(from.pipeline, stage,
                                           sizes.pipeline);
                       auto columns = parts(from.tensor, part, sizes.tensor);
                       for (auto s = stages.first; s < stages.second; ++s)
                         for (auto c = columns.first; c < columns.second; ++c) {
                           auto box = holders.find(from.index(s, c));
                           if (box == holders.end())
                             continue;
                           auto amount = bytes
                                         * overlap(s, from.pipeline, stage,
                                                   sizes.pipeline)
                                         * overlap(c, from.tensor, part,
                                                   sizes.tensor);
                           auto giver = nearest(box->second, to);
                           auto link = static_cast<std::size_t>(
                             devices.between(giver, to));
                           by_device[giver.value()].out[link] += amount;
                           by_device[to.value()].in[link] += amount;
                           by_link[link] += amount;
                         }
                     });
  if (!ok)
    return fail(ok.error());

  // The busiest device over its own links; NICs are shared by a node.
  std::unordered_map<std::int32_t, traffic> by_node;
  std::array<double, num_link_class> slowest{};
  double busiest = 0;
  constexpr auto network = static_cast<std::size_t>(link_class::network);
  for (const auto& [id, flow] : by_device) {
    double seconds = 0;
    for (std::size_t link = 0; link < network; ++link) {
      const auto& node = machines.nodes[static_cast<std::size_t>(
        devices.node_of(device_id{id}))];
      auto now = std::max(flow.in[link], flow.out[link])
                 / bandwidth_of(costs, static_cast<link_class>(link), node);
      slowest[link] = std::max(slowest[link], now);
      seconds += now;
    }
    busiest = std::max(busiest, seconds);
    auto& node = by_node[devices.node_of(device_id{id})];
    node.in[network] += flow.in[network];
    node.out[network] += flow.out[network];
  }
  for (const auto& [id, flow] : by_node) {
    const auto& node = machines.nodes[static_cast<std::size_t>(id)];
    auto now = std::max(flow.in[network], flow.out[network])
               / (costs.nic_bandwidth * std::max(1, node.num_nic));
    slowest[network] = std::max(slowest[network], now);
    busiest = std::max(busiest, now);
  }
  double total = 0;
  for (std::size_t link = 0; link < num_link_class; ++link) {
    x.bytes_by_link[link] = static_cast<std::uint64_t>(by_link[link] + 0.5);
    total += by_link[link];
  }
  x.bytes = static_cast<std::uint64_t>(total + 0.5);
  x.slowest = static_cast<link_class>(
    std::max_element(slowest.begin(), slowest.end()) - slowest.begin());
  x.seconds = costs.sync_seconds + busiest;
  return x;
}

} // namespace troupe::planner
