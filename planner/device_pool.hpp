// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "troupe/core/ids.hpp"
#include "troupe/planner/cluster.hpp"

namespace troupe::planner {

/// Consecutive devices of one node that somebody holds.
struct device_run {
  node_id node;
  device_id first;
  std::int32_t count = 0;

  bool operator==(const device_run&) const = default;
};

/// Devices of one colocation group, in the order of its slots; runs of one node
/// stand together as far as a replica reaches.
using region = std::vector<device_run>;

/// Gives out the devices of a cluster, lowest numbers of a node first.
///
/// Rule of `take(n)`:
///  1. the first node with n free devices gives them;
///  2. else wholly free nodes are taken in order while n covers them, and the
///     rest comes from the first node with room for it;
///  3. else whatever is free, node by node.
/// Steps 1 and 2 without a rest are what ChatLearn gets from Ray
/// (schedule/resource_manager.py, first node with room, one bundle a node).
/// Complexity: O(k log n) for k nodes touched of n.
class device_pool {
public:
  explicit device_pool(const cluster& machines);

  [[nodiscard]] std::int64_t num_free() const noexcept { return num_free_; }

  /// Nothing if fewer than `count` (at least 1) devices are free.
  [[nodiscard]] std::optional<region> take(std::int64_t count);

  /// Undoes the latest `take`, which returned `taken`.
  void undo(const region& taken);

private:
  struct node_state {
    std::int32_t first = 0;
    std::int32_t size = 0;
    std::int32_t used = 0;
  };

  /// The first node with at least `count` free devices, or the node count.
  [[nodiscard]] std::size_t first_with(std::int64_t count) const noexcept;

  /// Takes `count` devices of a node that has them.
  void take_from(std::size_t node, std::int32_t count, region& out);

  /// Writes a node's free devices into the tree.
  void refresh(std::size_t node) noexcept;

  std::vector<node_state> nodes_;
  /// A binary tree over the nodes; each entry has the most devices that are
  /// free on one node below it.
  std::vector<std::int32_t> most_free_;
  std::size_t leaves_ = 1;
  std::set<std::size_t> wholly_free_;
  std::int64_t num_free_ = 0;
};

} // namespace troupe::planner
