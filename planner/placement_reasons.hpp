// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "troupe/planner/placement.hpp"

namespace troupe::planner {

/// What people want to know of where replicas stand.
class stand_report {
public:
  /// The cluster must outlive it. O(devices).
  explicit stand_report(const cluster& machines);

  /// Adds to the reasons of a placed device model: the node or nodes, and the
  /// link domain where a node has several, of its first replicas, and what the
  /// strategy did with all of them. Adds a warning if replicas are torn that
  /// would fit into a node, or into a link domain. O(its devices).
  void explain(const model_spec& model, node_strategy strategy,
               model_place& out, std::vector<std::string>& warnings) const;

private:
  /// Where one replica stands.
  struct stand {
    /// Ascending.
    std::vector<std::int32_t> nodes;
    /// Of the only node; empty if there are more nodes.
    std::vector<std::int32_t> domains;
  };

  [[nodiscard]] stand stand_of(const replica_place& replica) const;
  [[nodiscard]] std::string sentence(std::size_t r, const stand& at,
                                     std::int64_t width) const;
  [[nodiscard]] std::size_t size_of(std::int32_t node) const;

  const cluster& machines_;
  std::vector<std::int32_t> first_device_;
  /// The devices of the largest link domain of each node, and the number of
  /// its domains.
  std::vector<std::int64_t> widest_domain_;
  std::vector<std::size_t> num_domain_;
};

} // namespace troupe::planner
