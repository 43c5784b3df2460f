// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/planner/node_strategy.hpp"
#include "troupe/planner/parallel_sizes.hpp"

namespace troupe::planner {

/// What placement must know of one model.
struct model_spec {
  std::string name;
  /// Devices of all replicas together; 0 for a CPU model.
  std::int32_t num_gpu = 0;
  std::int32_t gpu_per_process = 1;
  std::int32_t num_replica = 1;
  /// CPU models: cores of all replicas together and of one process.
  std::int32_t num_cpu = 0;
  std::int32_t cpu_per_process = 0;
  bool trainable = false;
  /// Lives in device hosts of its own.
  bool isolated = false;
  /// Sizes inside one replica.
  parallel_sizes parallel;

  [[nodiscard]] bool on_cpu() const noexcept { return num_gpu == 0; }

  bool operator==(const model_spec&) const = default;
};

/// Weights of `destination` follow those of `source`.
struct sync_pair {
  std::string source;
  std::string destination;
  /// Every how many episodes; 0 means never.
  std::int32_t frequency = 1;

  bool operator==(const sync_pair&) const = default;
};

enum class placement_order : std::uint8_t {
  /// Destination models get the reversed order inside a node, so that source
  /// rank i and destination rank i do not share a device.
  reversed,
  /// The same order, so that they do share it: right where the link is local.
  aligned,
};

/// Everything placement depends on besides the cluster.
struct job_spec {
  std::vector<model_spec> models;
  /// Groups of model names that share devices.
  std::vector<std::vector<std::string>> colocation;
  std::vector<sync_pair> syncs;
  placement_order order = placement_order::reversed;
  /// How every colocation group, and every model in no group, chooses its
  /// nodes; each for itself, as if each were a placement group of Ray's. A
  /// bundle is what must be on one node: a replica, with all replicas of its
  /// group that share devices with it.
  node_strategy strategy = node_strategy::pack;

  bool operator==(const job_spec&) const = default;
};

/// Null if the job has no such model.
[[nodiscard]] inline const model_spec*
find_spec(const job_spec& job, std::string_view name) noexcept {
  for (const auto& x : job.models)
    if (x.name == name)
      return &x;
  return nullptr;
}

} // namespace troupe::planner
