// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "troupe/planner/device_pool.hpp"
#include "troupe/planner/model_spec.hpp"
#include "troupe/planner/packing.hpp"
#include "troupe/planner/placement.hpp"

namespace troupe::planner {

/// Where the processes of one model stand: `first_slot[p]` is the position,
/// among a region's devices, of the first device of process p, counting
/// through the model's replicas.
struct model_slots {
  std::vector<std::int32_t> first_slot;
  /// Between the model's first and last device some belong to nobody.
  bool has_gaps = false;
};

/// The devices of a colocation group and the slots of its models.
struct group_layout {
  region devices;
  /// Like the group; empty entries for CPU models.
  std::vector<model_slots> models;
  /// How many more devices the group needs; nothing else is valid then.
  std::int64_t missing = 0;
};

/// Lays the packs of a group over a region: members of a pack on consecutive
/// devices from the region's first, replica after replica. A process whose
/// `gpu_per_process` devices would lie on two nodes starts on the second node.
/// `members[i]` is the model of pack position i.
/// Complexity: O(processes + runs of the region x packs).
[[nodiscard]] group_layout
lay_out(region devices, const std::vector<const model_spec*>& members,
        const std::vector<pack>& packs);

/// The places of one model: its processes in the order of their slots, cut into
/// replicas; with `reversed`, those of a replica that share a node stand in the
/// opposite order. (ChatLearn cuts a replica in chunks of a node's size,
/// counted from the replica's own start, which drops or mixes workers unless
/// both fall together.)
/// Complexity: O(devices of the model + runs of the region).
[[nodiscard]] std::vector<replica_place> make_replicas(const region& devices,
                                                       const model_spec& model,
                                                       const model_slots& slots,
                                                       bool reversed);

/// Pairs of group positions that share a device, each once, smaller first.
/// Complexity: O(k log k + pairs) for k models; plus the processes of pairs of
/// which one has gaps.
[[nodiscard]] std::vector<std::pair<std::int32_t, std::int32_t>>
overlaps(const group_layout& layout,
         const std::vector<const model_spec*>& members);

} // namespace troupe::planner
