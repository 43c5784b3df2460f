// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "troupe/core/ids.hpp"
#include "troupe/planner/cluster.hpp"
#include "troupe/planner/cost_model.hpp"

namespace troupe::planner {

/// Where each device of a cluster is, by one look: `cluster::node_of` walks the
/// nodes. A device outside of the cluster must not be asked for.
class device_map {
public:
  explicit device_map(const cluster& machines);

  [[nodiscard]] std::int32_t node_of(device_id x) const noexcept {
    return nodes_[static_cast<std::size_t>(x.value())];
  }

  [[nodiscard]] bool contains(device_id x) const noexcept {
    return x.value() >= 0
           && static_cast<std::size_t>(x.value()) < nodes_.size();
  }

  [[nodiscard]] std::size_t size() const noexcept { return nodes_.size(); }

  /// Unknown domains (-1) of one node are no common domain.
  [[nodiscard]] link_class between(device_id a, device_id b) const noexcept;

private:
  std::vector<std::int32_t> nodes_;
  std::vector<std::int32_t> domains_;
};

} // namespace troupe::planner
