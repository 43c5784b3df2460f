// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/chatlearn/placement.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "troupe/planner/saturate.hpp"

namespace troupe::planner::chatlearn {

namespace {

refusal too_wide(const local_model& x) {
  return {refusal_kind::assertion,
          fmt::format("{}: gpu_per_process is {}; colocated placement knows "
                      "only 1",
                      x.name, x.gpu_per_process)};
}

/// The ranks of one replica whose workers were created on GPUs
/// `first`..`first + size - 1`.
outcome<std::vector<std::int64_t>> order_ranks(const local_model& x,
                                               std::int64_t first,
                                               std::int64_t gpu_per_node,
                                               bool reversed) {
  auto size = x.num_gpu_per_replica;
  auto chunk = std::min(gpu_per_node, size);
  if (size % chunk != 0)
    return refuse(refusal_kind::unsound,
                  fmt::format("{}: a replica of {} GPUs on nodes of {} would "
                              "lose {} workers",
                              x.name, size, gpu_per_node, size % chunk));
  std::vector<std::int64_t> out;
  out.reserve(static_cast<std::size_t>(size));
  for (auto begin = first; begin < first + size; begin += chunk) {
    if (begin / gpu_per_node != (begin + chunk - 1) / gpu_per_node)
      return refuse(refusal_kind::unsound,
                    fmt::format("{}: GPUs {} to {} lie on two nodes whose "
                                "workers would be mixed",
                                x.name, begin, begin + chunk - 1));
    for (std::int64_t i = 0; i < chunk; ++i)
      out.push_back(reversed ? begin + chunk - 1 - i : begin + i);
  }
  return out;
}

/// A replica of a pack whose next worker stands on the current GPU.
struct pack_cursor {
  const pack* members = nullptr;
  std::size_t at = 0;
  /// First GPU of the current model.
  std::int64_t first = 0;
};

} // namespace

std::vector<std::string>
models_to_revert(const std::vector<const local_model*>& group,
                 const std::vector<sync_names>& syncs) {
  std::vector<std::string> out;
  if (group.size() < 2)
    return out;
  std::unordered_set<std::string_view> names;
  for (const auto* x : group)
    names.insert(x->name);
  std::unordered_map<std::string_view, int> sources;
  for (const auto& [source, destination] : syncs)
    if (names.count(source) > 0)
      ++sources[destination];
  for (const auto* x : group)
    if (auto found = sources.find(x->name); found != sources.end())
      out.insert(out.end(), static_cast<std::size_t>(found->second), x->name);
  return out;
}

std::vector<std::vector<std::string>>
colocate_models(const std::vector<const local_model*>& group,
                const std::vector<pack>& packs) {
  std::vector<std::size_t> pack_of(group.size());
  for (std::size_t p = 0; p < packs.size(); ++p)
    for (auto i : packs[p])
      pack_of[static_cast<std::size_t>(i)] = p;
  std::vector<std::vector<std::string>> out(group.size());
  for (std::size_t i = 0; i < group.size(); ++i)
    for (std::size_t k = 0; k < group.size(); ++k)
      if (pack_of[i] != pack_of[k])
        out[i].push_back(group[k]->name);
  return out;
}

outcome<group_plan> plan_group(const std::vector<local_model>& models,
                               const std::vector<sync_names>& syncs,
                               const machines& cluster) {
  group_plan out;
  std::vector<const local_model*> group;
  std::int64_t total = 0;
  for (const auto& x : models) {
    group.push_back(&x);
    total = std::max(total, x.total_gpu);
  }
  if (total > times(cluster.num_node, cluster.gpu_per_node))
    return refuse(refusal_kind::unsound,
                  fmt::format("a group of {} GPUs would wait for ever on {} "
                              "nodes of {}",
                              total, cluster.num_node, cluster.gpu_per_node));
  auto bundles = cut_bundles(total, cluster);
  if (!bundles)
    return refuse(bundles.error());
  out.bundles = std::move(*bundles);
  for (const auto& x : models)
    if (x.gpu_per_process != 1)
      return refuse(too_wide(x));
  auto packs = pack_models(group, total);
  if (!packs)
    return refuse(packs.error());
  out.pack_positions = std::move(*packs);
  for (const auto& side_by_side : out.pack_positions) {
    auto& names = out.packs.emplace_back();
    for (auto i : side_by_side)
      names.push_back(models[static_cast<std::size_t>(i)].name);
  }
  out.colocate = colocate_models(group, out.pack_positions);
  out.revert = models_to_revert(group, syncs);
  return out;
}

outcome<group_placement> place_group(const std::vector<local_model>& models,
                                     const std::vector<sync_names>& syncs,
                                     const machines& cluster) {
  auto plan = plan_group(models, syncs, cluster);
  if (!plan)
    return refuse(plan.error());
  std::int64_t total = 0;
  for (const auto& x : models) {
    total = std::max(total, x.total_gpu);
    if (x.num_gpu_per_replica < 1 || x.num_replica < 1
        || x.num_gpu_per_replica > x.total_gpu
        || x.total_gpu % x.num_gpu_per_replica != 0)
      return refuse(refusal_kind::unsound,
                    fmt::format("{}: {} GPUs cannot be cut into replicas of "
                                "{}",
                                x.name, x.total_gpu, x.num_gpu_per_replica));
  }
  group_placement out;
  out.plan = std::move(*plan);
  std::unordered_set<std::string_view> reverted{out.plan.revert.begin(),
                                                out.plan.revert.end()};
  out.replicas.resize(models.size());
  out.gpus.resize(static_cast<std::size_t>(total));
  std::vector<pack_cursor> cursors;
  for (const auto& side_by_side : out.plan.pack_positions)
    cursors.push_back({&side_by_side, 0, 0});
  for (std::int64_t gpu = 0; gpu < total; ++gpu) {
    auto& tenants = out.gpus[static_cast<std::size_t>(gpu)];
    // Who is here decides the fraction that each gets.
    std::vector<std::pair<std::size_t, std::int64_t>> here;
    for (auto& cursor : cursors) {
      while (cursor.at < cursor.members->size()) {
        auto i = static_cast<std::size_t>((*cursor.members)[cursor.at]);
        if (gpu < cursor.first + models[i].total_gpu) {
          here.emplace_back(i, gpu - cursor.first);
          break;
        }
        cursor.first += models[i].total_gpu;
        ++cursor.at;
      }
    }
    auto share = 1.0 / static_cast<double>(here.size());
    for (const auto& [i, offset] : here) {
      const auto& x = models[i];
      auto replica = offset / x.num_gpu_per_replica;
      if (offset % x.num_gpu_per_replica == 0) {
        auto ranks = order_ranks(x, gpu, cluster.gpu_per_node,
                                 reverted.count(x.name) > 0);
        if (!ranks)
          return refuse(ranks.error());
        auto& place = out.replicas[i].emplace_back();
        place.gpu = std::move(*ranks);
        if (x.has_engine) {
          // The engine is the replica's master; it stands on the first GPU.
          place.engine_gpu = gpu;
          place.master_node = gpu / cluster.gpu_per_node;
          tenants.push_back({x.name, replica, share / 2, true});
          tenants.push_back({x.name, replica, share / 2, false});
          continue;
        }
        place.master_node = place.gpu.front() / cluster.gpu_per_node;
      }
      tenants.push_back({x.name, replica, share, false});
    }
  }
  return out;
}

cpu_placement place_cpus(const std::vector<local_model>& models,
                         const std::vector<std::int64_t>& num_gpu_bundles) {
  cpu_placement out;
  std::vector<cpu_seat> seats;
  for (std::size_t g = 0; g < num_gpu_bundles.size(); ++g)
    for (std::int64_t i = 0; i < num_gpu_bundles[g]; ++i)
      seats.emplace_back(static_cast<std::int64_t>(g), i);
  std::size_t turn = 0;
  for (const auto& x : models) {
    auto& list = out.seats.emplace_back();
    for (std::int64_t r = 0; r < x.num_replica; ++r, ++turn) {
      if (!seats.empty()) {
        list.push_back(seats[turn % seats.size()]);
        continue;
      }
      list.emplace_back(0, static_cast<std::int64_t>(turn));
      out.bundles.push_back(x.cpu_per_process);
    }
  }
  return out;
}

} // namespace troupe::planner::chatlearn
