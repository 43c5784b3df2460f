// SPDX-License-Identifier: Apache-2.0
// The sets about placement: packing, place, total_gpu.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "troupe/apps/golden_check/models.hpp"
#include "troupe/planner/chatlearn/total_gpu.hpp"

namespace troupe::golden {

namespace {

namespace chatlearn = planner::chatlearn;

json solve_packing(const json& in) {
  auto packs = chatlearn::pack_models(read_local_models(in),
                                      read<std::int64_t>(in, "total_gpu"));
  if (!packs)
    return to_json(packs.error());
  return {{"packs", *packs}};
}

std::vector<std::string> packing_problems(const json& in) {
  auto models = read_local_models(in);
  auto total = read<std::int64_t>(in, "total_gpu");
  auto packs = chatlearn::pack_models(models, total);
  if (!packs)
    return packs.error().message.empty()
             ? std::vector<std::string>{"refused without a reason"}
             : std::vector<std::string>{};
  std::vector<std::string> out;
  std::map<std::string, std::int64_t> size;
  for (const auto& x : models)
    size.emplace(x.name, x.total_gpu);
  std::map<std::string, int> seen;
  for (const auto& side_by_side : *packs) {
    std::int64_t sum = 0;
    for (const auto& name : side_by_side) {
      sum += size[name];
      ++seen[name];
    }
    if (sum > total)
      out.push_back(fmt::format("a pack of {} GPUs on {}", sum, total));
  }
  for (const auto& [name, gpus] : size)
    if (seen[name] != 1)
      out.push_back(fmt::format("{} is packed {} times", name, seen[name]));
  return out;
}

json tenants_to_json(const std::vector<std::vector<chatlearn::gpu_tenant>>& x) {
  auto out = json::array();
  for (const auto& gpu : x) {
    auto list = json::array();
    for (const auto& tenant : gpu)
      list.push_back({tenant.model, tenant.replica, tenant.fraction,
                      tenant.engine ? "engine" : "worker"});
    out.push_back(std::move(list));
  }
  return out;
}

json replica_to_json(const chatlearn::replica_gpus& x) {
  return {
    {"gpu", x.gpu},
    {"dropped_gpu", json::array()},
    {"world_size", x.gpu.size()},
    {"local_rank", {0}},
    {"master_node", x.master_node},
    {"engine_gpu", x.engine_gpu < 0 ? json{} : json(x.engine_gpu)},
  };
}

json solve_place(const json& in) {
  auto cluster = read_machines(in);
  std::vector<chatlearn::local_model> on_gpu;
  std::vector<chatlearn::local_model> on_cpu;
  for (auto& x : read_local_models(in))
    (x.total_gpu > 0 ? on_gpu : on_cpu).push_back(std::move(x));
  auto out = json::object();
  std::vector<std::int64_t> gpu_bundles;
  if (!on_gpu.empty()) {
    auto placed = chatlearn::place_group(on_gpu, read_syncs(in), cluster);
    if (!placed)
      return to_json(placed.error());
    gpu_bundles.push_back(
      static_cast<std::int64_t>(placed->plan.bundles.size()));
    auto& bundles = out["bundles"] = json::array();
    for (const auto& x : placed->plan.bundles)
      bundles.push_back({x.gpu, x.cpu});
    out["packs"] = placed->plan.packs;
    out["revert"] = placed->plan.revert;
    out["gpus"] = tenants_to_json(placed->gpus);
    for (std::size_t i = 0; i < on_gpu.size(); ++i) {
      const auto& name = on_gpu[i].name;
      out["colocate"][name] = placed->plan.colocate[i];
      auto& replicas = out["replicas"][name] = json::array();
      for (const auto& x : placed->replicas[i])
        replicas.push_back(replica_to_json(x));
    }
  }
  if (!on_cpu.empty()) {
    auto seats = chatlearn::place_cpus(on_cpu, gpu_bundles);
    for (std::size_t i = 0; i < on_cpu.size(); ++i)
      out["cpu"][on_cpu[i].name] = seats.seats[i];
    auto& group = out["cpu_group"] = json::array();
    if (!seats.bundles.empty()) {
      json entry = seats.bundles;
      entry.push_back("SPREAD");
      group.push_back(std::move(entry));
    }
  }
  return out;
}

std::vector<std::string> place_problems(const json& in) {
  std::vector<std::string> names;
  for (const auto& x : read_local_models(in))
    names.push_back(x.name);
  return own_plan_problems(in, {names});
}

std::vector<std::vector<std::string>> read_colocation(const json& in) {
  return read<std::vector<std::vector<std::string>>>(in, "colocation");
}

json solve_total_gpu(const json& in) {
  auto models = read_local_models(in);
  auto placed = chatlearn::place_job(models, read_colocation(in),
                                     read_syncs(in), read_machines(in));
  json out{{"applied", placed.applied}, {"required", placed.required}};
  switch (placed.outcome) {
    case chatlearn::total_outcome::error:
      out["outcome"] = "error";
      out.update(to_json(*placed.why));
      return out;
    case chatlearn::total_outcome::pending:
      out["outcome"] = "pending";
      return out;
    case chatlearn::total_outcome::warn: out["outcome"] = "warn"; break;
    case chatlearn::total_outcome::ok: out["outcome"] = "ok"; break;
  }
  out["dist_env"] = placed.dist_env;
  out["bundles"] = placed.bundles;
  out["colocate"] = json::object();
  out["is_colocate"] = json::object();
  for (std::size_t i = 0; i < models.size(); ++i) {
    out["colocate"][models[i].name] = placed.colocate[i];
    out["is_colocate"][models[i].name] = static_cast<bool>(
      placed.is_colocate[i]);
  }
  return out;
}

std::vector<std::string> total_gpu_problems(const json& in) {
  return own_plan_problems(in, read_colocation(in));
}

} // namespace

case_set packing_set() {
  return {"packing", solve_packing, {}, packing_problems};
}

case_set place_set() {
  return {"place", solve_place, {"master_port"}, place_problems};
}

case_set total_gpu_set() {
  return {"total_gpu", solve_total_gpu, {"warning"}, total_gpu_problems};
}

} // namespace troupe::golden
