// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "troupe/planner/chatlearn/packing.hpp"
#include "troupe/planner/chatlearn/refusal.hpp"
#include "troupe/planner/chatlearn/resources.hpp"

namespace troupe::planner::chatlearn {

/// (source, destination) names of a parameter sync.
using sync_names = std::pair<std::string, std::string>;

/// A process on a GPU and the share of it that it asks Ray for.
struct gpu_tenant {
  std::string model;
  std::int64_t replica = 0;
  double fraction = 1.0;
  bool engine = false;

  bool operator==(const gpu_tenant&) const = default;
};

/// Where one replica of a GPU model is.
struct replica_gpus {
  /// GPU of rank 0, 1, ... counted over the group's bundles.
  std::vector<std::int64_t> gpu;
  std::int64_t master_node = 0;
  /// GPU of the engine process, or -1.
  std::int64_t engine_gpu = -1;

  bool operator==(const replica_gpus&) const = default;
};

/// What is decided about a group of colocated GPU models before its processes
/// are placed.
struct group_plan {
  std::vector<bundle> bundles;
  named_packs packs;
  /// For each model the models it is taken to share GPUs with: those of the
  /// group outside its own pack, whether their GPUs overlap or not.
  std::vector<std::vector<std::string>> colocate;
  /// Destinations whose order is reversed, once for each source.
  std::vector<std::string> revert;
  /// The packs as positions of models.
  std::vector<pack> pack_positions;
};

/// A group of colocated GPU models on a fresh placement group.
struct group_placement {
  group_plan plan;
  /// `gpus[i]`: who is on GPU i, in the order of creation.
  std::vector<std::vector<gpu_tenant>> gpus;
  /// For each model its replicas.
  std::vector<std::vector<replica_gpus>> replicas;
};

/// Bundles, packs and relations of a group: it gets as many GPUs as its largest
/// model needs, cut into bundles, and packs by `pack_models`. Refused besides
/// what these refuse: a model with `gpu_per_process` other than 1 (assertion).
/// Source: schedule/model_manager.py, `place_gpu_models`.
/// Complexity: O(models^2), the size of `colocate`.
[[nodiscard]] outcome<group_plan>
plan_group(const std::vector<local_model>& models,
           const std::vector<sync_names>& syncs, const machines& cluster);

/// Places one group of GPU models on the GPUs of `plan_group`.
///
/// Rule: members of a pack on consecutive GPUs; a GPU is shared evenly by the replicas on it, an engine takes half of the
/// share of its replica's first worker. Ranks of a replica: its workers in
/// chunks of min(GPUs of a node, GPUs of a replica), each in ascending order
/// of the GPU's number inside its node, or descending for a destination.
///
/// Refused besides what `plan_group` refuses: a replica whose last chunk is
/// short, which loses workers upstream, and one with a chunk over two nodes
/// whose order mixes them (unsound: `planner::place` places both).
/// Source: schedule/model_manager.py, `place_gpu_models`;
/// runtime/dist_actor.py, `reorder_actors`.
/// Complexity: O(GPUs x packs).
[[nodiscard]] outcome<group_placement>
place_group(const std::vector<local_model>& models,
            const std::vector<sync_names>& syncs, const machines& cluster);

/// Destinations of `syncs` whose source is in the same group of at least two
/// models, in the order of the group, once for each source.
[[nodiscard]] std::vector<std::string>
models_to_revert(const std::vector<const local_model*>& group,
                 const std::vector<sync_names>& syncs);

/// For each model the models of the group outside its own pack.
[[nodiscard]] std::vector<std::vector<std::string>>
colocate_models(const std::vector<const local_model*>& group,
                const std::vector<pack>& packs);

/// Where a replica of a CPU model goes: which placement group, which bundle.
using cpu_seat = std::pair<std::int64_t, std::int64_t>;

/// CPU models of one call. `num_gpu_bundles` has the bundles of each GPU
/// placement group made so far: if there is one, replicas go round robin over
/// all those bundles and reserve nothing; else they get a placement group of
/// their own, a bundle of `cpu_per_process` cores each.
struct cpu_placement {
  /// Cores of each bundle of the CPU-only group; empty if none was made.
  std::vector<std::int64_t> bundles;
  /// For each model the seat of each replica.
  std::vector<std::vector<cpu_seat>> seats;
};

/// Source: schedule/model_manager.py, `place_cpu_models`.
/// Complexity: O(replicas).
[[nodiscard]] cpu_placement
place_cpus(const std::vector<local_model>& models,
           const std::vector<std::int64_t>& num_gpu_bundles);

} // namespace troupe::planner::chatlearn
