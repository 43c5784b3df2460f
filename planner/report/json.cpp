// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/report/json.hpp"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

namespace troupe::planner::report {

namespace {

using json = nlohmann::ordered_json;

json to_json(const memory_parts& x) {
  return {{"weights", x.weights},     {"gradients", x.gradients},
          {"optimizer", x.optimizer}, {"activations", x.activations},
          {"kv_cache", x.kv_cache},   {"staging", x.staging},
          {"total", x.total()}};
}

json cluster_json(const cluster& machines) {
  auto nodes = json::array();
  std::int32_t first = 0;
  for (const auto& node : machines.nodes) {
    auto devices = json::array();
    for (const auto& device : node.devices)
      devices.push_back({{"id", first++},
                         {"memory_bytes", device.memory_bytes},
                         {"link_domain", device.link_domain}});
    nodes.push_back({{"name", node.name},
                     {"num_cpu", node.num_cpu},
                     {"num_nic", node.num_nic},
                     {"memory_bytes", node.memory_bytes},
                     {"devices", std::move(devices)}});
  }
  return {{"num_device", first}, {"nodes", std::move(nodes)}};
}

json model_json(const plan_inputs& in, const model_place& place) {
  json x{{"name", place.name}};
  if (const auto* spec = find_spec(in.job, place.name)) {
    x["num_gpu"] = spec->num_gpu;
    x["gpu_per_process"] = spec->gpu_per_process;
    x["num_cpu"] = spec->num_cpu;
    x["num_replica"] = spec->num_replica;
    x["trainable"] = spec->trainable;
    x["isolated"] = spec->isolated;
    x["parallel"] = {{"tensor", spec->parallel.tensor},
                     {"pipeline", spec->parallel.pipeline},
                     {"data", spec->parallel.data},
                     {"context", spec->parallel.context},
                     {"expert", spec->parallel.expert}};
  }
  x["reversed"] = place.reversed;
  x["colocated"] = place.colocated;
  x["reasons"] = place.reasons;
  auto replicas = json::array();
  for (const auto& replica : place.replicas) {
    auto ranks = json::array();
    for (const auto& rank : replica.ranks) {
      auto devices = json::array();
      for (auto device : rank.devices)
        devices.push_back(device.value());
      ranks.push_back(
        {{"node", rank.node.value()}, {"devices", std::move(devices)}});
    }
    replicas.push_back({{"ranks", std::move(ranks)}});
  }
  x["replicas"] = std::move(replicas);
  return x;
}

json memory_json(const plan_inputs& in, const plan_view& view) {
  auto devices = json::array();
  for (const auto& device : in.memory->devices) {
    auto models = json::array();
    for (const auto& use : device.models) {
      json x{{"model", in.plan.models[use.model].name}};
      for (auto when : all_phases)
        x[std::string{planner::to_string(when)}] = to_json(
          use.active[static_cast<std::size_t>(when)]);
      x["idle"] = to_json(use.idle);
      models.push_back(std::move(x));
    }
    json x{{"device", device.device.value()}, {"limit_bytes", device.limit}};
    for (auto when : all_phases)
      x[std::string{planner::to_string(when)}
        + "_bytes"] = device.bytes[static_cast<std::size_t>(when)];
    x["fits"] = device.fits();
    x["models"] = std::move(models);
    devices.push_back(std::move(x));
  }
  std::uint64_t peak = 0;
  for (const auto& row : view.rows)
    peak = std::max(peak, row.peak);
  return {{"fits", in.memory->worst() == nullptr},
          {"peak_bytes", peak},
          {"unknown_models", in.memory->unknown},
          {"devices", std::move(devices)}};
}

json sync_json(const plan_inputs& in, const sync_pair& pair) {
  json x{{"source", pair.source}, {"destination", pair.destination}};
  if (in.prediction != nullptr)
    for (const auto& sync : in.prediction->syncs)
      if (sync.source == pair.source && sync.destination == pair.destination) {
        x["bytes"] = sync.bytes;
        json links = json::object();
        for (std::size_t i = 0; i < num_link_class; ++i)
          links[std::string{planner::to_string(
            static_cast<link_class>(i))}] = sync.bytes_by_link[i];
        x["bytes_by_link"] = std::move(links);
        x["slowest_link"] = std::string{planner::to_string(sync.slowest)};
        x["seconds"] = sync.seconds;
        break;
      }
  return x;
}

json prediction_json(const iteration_prediction& x) {
  auto models = json::array();
  for (const auto& time : x.models)
    models.push_back(
      {{"name", time.name},
       {"work_seconds", time.work_seconds},
       {"offload_seconds", time.offload_seconds},
       {"tensor_link", std::string{planner::to_string(time.links.tensor)}},
       {"data_link", std::string{planner::to_string(time.links.data)}}});
  return {{"generation_seconds", x.generation_seconds},
          {"training_seconds", x.training_seconds},
          {"sync_seconds", x.sync_seconds},
          {"total_seconds", x.total()},
          {"models", std::move(models)}};
}

} // namespace

std::string render_json(const plan_inputs& inputs) {
  const plan_view view{inputs};
  json out{{"schema", "troupe.plan/1"},
           {"placement_order", inputs.job.order == placement_order::reversed
                                 ? "reversed"
                                 : "aligned"},
           {"cluster", cluster_json(inputs.machines)}};
  auto models = json::array();
  for (const auto& place : inputs.plan.models)
    models.push_back(model_json(inputs, place));
  out["models"] = std::move(models);
  auto packs = json::array();
  for (const auto& pack : view.packs) {
    auto names = json::array();
    for (auto model : pack.models)
      names.push_back(inputs.plan.models[model].name);
    packs.push_back({{"name", pack.name},
                     {"models", std::move(names)},
                     {"num_device", pack.num_device}});
  }
  out["packs"] = std::move(packs);
  auto devices = json::array();
  for (const auto& row : view.rows) {
    auto ranks = json::array();
    for (const auto& x : row.cells)
      ranks.push_back({{"model", inputs.plan.models[x.model].name},
                       {"replica", x.replica},
                       {"rank", x.rank}});
    json pack;
    if (row.pack >= 0)
      pack = view.packs[static_cast<std::size_t>(row.pack)].name;
    devices.push_back({{"id", row.device.value()},
                       {"node", row.node},
                       {"pack", std::move(pack)},
                       {"ranks", std::move(ranks)}});
  }
  out["devices"] = std::move(devices);
  auto syncs = json::array();
  for (const auto& pair : inputs.job.syncs)
    syncs.push_back(sync_json(inputs, pair));
  out["syncs"] = std::move(syncs);
  out["memory"] = inputs.memory != nullptr ? memory_json(inputs, view) : json{};
  out["prediction"] = inputs.prediction != nullptr
                        ? prediction_json(*inputs.prediction)
                        : json{};
  out["warnings"] = inputs.plan.warnings;
  // Names come from files: bytes that are no UTF-8 must not throw.
  return out.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

} // namespace troupe::planner::report
