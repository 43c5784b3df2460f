// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/cluster.hpp"

#include <cassert>

namespace troupe::planner {

cluster cluster::uniform(std::int32_t nodes, std::int32_t devices_per_node,
                         std::int32_t cpus_per_node) {
  cluster x;
  for (std::int32_t i = 0; i < nodes; ++i) {
    node_spec node;
    node.name = "node" + std::to_string(i);
    node.devices.resize(static_cast<std::size_t>(devices_per_node));
    node.num_cpu = cpus_per_node;
    x.nodes.push_back(std::move(node));
  }
  return x;
}

std::int32_t cluster::num_device() const noexcept {
  std::size_t count = 0;
  for (const auto& node : nodes)
    count += node.devices.size();
  return static_cast<std::int32_t>(count);
}

node_id cluster::node_of(device_id device) const noexcept {
  auto left = device.value();
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    auto count = static_cast<std::int32_t>(nodes[i].devices.size());
    if (left < count)
      return node_id{static_cast<std::int32_t>(i)};
    left -= count;
  }
  assert(!"device outside of the cluster");
  return node_id{-1};
}

} // namespace troupe::planner
