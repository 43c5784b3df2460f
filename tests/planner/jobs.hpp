// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "troupe/planner/cluster.hpp"
#include "troupe/planner/model_spec.hpp"
#include "troupe/planner/placement.hpp"

/// Jobs for the planner's tests.
namespace troupe::planner::testing {

inline model_spec gpu_model(std::string name, std::int32_t num_gpu,
                            std::int32_t num_replica = 1,
                            bool trainable = false) {
  model_spec x;
  x.name = std::move(name);
  x.num_gpu = num_gpu;
  x.num_replica = num_replica;
  x.trainable = trainable;
  return x;
}

inline model_spec cpu_model(std::string name, std::int32_t num_replica) {
  model_spec x;
  x.name = std::move(name);
  x.num_cpu = num_replica;
  x.cpu_per_process = 1;
  x.num_replica = num_replica;
  return x;
}

/// Devices of a model, replica by replica, rank by rank.
inline std::vector<std::vector<std::int32_t>> devices(const model_place& x) {
  std::vector<std::vector<std::int32_t>> out;
  for (const auto& replica : x.replicas) {
    auto& list = out.emplace_back();
    for (const auto& rank : replica.ranks)
      for (auto device : rank.devices)
        list.push_back(device.value());
  }
  return out;
}

/// Draws from a seed that every test prints.
class dice {
public:
  explicit dice(std::uint32_t seed) : engine_(seed) {
    // nop
  }

  std::int32_t operator()(std::int32_t low, std::int32_t high) {
    auto span = static_cast<std::uint32_t>(high - low + 1);
    return low + static_cast<std::int32_t>(engine_() % span);
  }

  bool coin() { return (*this)(0, 1) == 1; }

private:
  std::mt19937 engine_;
};

struct random_case {
  job_spec job;
  cluster machines;
};

/// A valid job on machines that have at least the devices it needs, counted
/// without regard for `gpu_per_process`.
inline random_case make_random_case(dice& roll, bool uniform_nodes) {
  random_case out;
  auto num_model = roll(1, 9);
  for (std::int32_t i = 0; i < num_model; ++i) {
    auto name = "m" + std::to_string(i);
    if (roll(0, 7) == 0) {
      out.job.models.push_back(cpu_model(name, roll(1, 5)));
      continue;
    }
    auto x = gpu_model(name, 0, roll(1, 4), roll(0, 3) == 0);
    if (x.trainable)
      x.num_replica = 1;
    x.gpu_per_process = roll(0, 5) == 0 ? 2 : 1;
    x.parallel.tensor = roll(0, 2) == 0 ? 2 : 1;
    x.num_gpu = x.num_replica * x.gpu_per_process * x.parallel.tensor
                * roll(1, 5);
    x.isolated = roll(0, 9) == 0;
    out.job.models.push_back(x);
  }
  std::vector<std::string> group;
  for (const auto& x : out.job.models) {
    if (roll(0, 3) == 0 && !group.empty()) {
      out.job.colocation.push_back(group);
      group.clear();
    }
    if (roll(0, 4) != 0)
      group.push_back(x.name);
  }
  if (!group.empty())
    out.job.colocation.push_back(group);
  for (std::int32_t i = 0; i < num_model; ++i)
    for (std::int32_t k = i + 1; k < num_model; ++k)
      if (roll(0, num_model) == 0)
        out.job.syncs.push_back(
          {out.job.models[static_cast<std::size_t>(i)].name,
           out.job.models[static_cast<std::size_t>(k)].name, 1});
  std::int64_t needed = 0;
  for (const auto& x : out.job.models)
    needed += x.num_gpu;
  auto per_node = roll(2, 9);
  while (out.machines.num_device() < 2 * needed || out.machines.nodes.empty()) {
    node_spec node;
    auto count = uniform_nodes ? per_node : roll(2, 9);
    node.devices.resize(static_cast<std::size_t>(count));
    out.machines.nodes.push_back(node);
  }
  return out;
}

} // namespace troupe::planner::testing
