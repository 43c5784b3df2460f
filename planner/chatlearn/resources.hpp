// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "troupe/planner/chatlearn/refusal.hpp"

namespace troupe::planner::chatlearn {

/// The machines as ChatLearn sees them: all like the first.
struct machines {
  std::int64_t num_node = 1;
  std::int64_t gpu_per_node = 0;
  std::int64_t cpu_per_node = 0;

  bool operator==(const machines&) const = default;
};

/// What a placement group reserves on one node.
struct bundle {
  std::int64_t gpu = 0;
  std::int64_t cpu = 0;

  bool operator==(const bundle&) const = default;
};

/// Cuts GPUs into bundles: one of up to a node's GPUs with the same share of
/// its cores, else full nodes, which `num_gpu` must be a multiple of
/// (assertion).
/// Source: schedule/resource_manager.py, `create_placement_group`.
/// Complexity: O(bundles).
[[nodiscard]] outcome<std::vector<bundle>> cut_bundles(std::int64_t num_gpu,
                                                       const machines& cluster);

/// Puts bundles on nodes, each on the first with room; a group whose bundles
/// do not all find one stays pending for ever in ChatLearn.
/// Complexity: O(nodes + bundles) for one group.
class node_ledger {
public:
  explicit node_ledger(const machines& cluster);

  /// The node of each bundle, or nothing if the group would wait for ever.
  [[nodiscard]] std::optional<std::vector<std::int64_t>>
  place(const std::vector<bundle>& bundles);

private:
  std::vector<std::int64_t> free_;
};

} // namespace troupe::planner::chatlearn
