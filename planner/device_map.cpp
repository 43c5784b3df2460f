// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/device_map.hpp"

namespace troupe::planner {

device_map::device_map(const cluster& machines) {
  for (std::size_t node = 0; node < machines.nodes.size(); ++node)
    for (const auto& device : machines.nodes[node].devices) {
      nodes_.push_back(static_cast<std::int32_t>(node));
      domains_.push_back(device.link_domain);
    }
}

link_class device_map::between(device_id a, device_id b) const noexcept {
  if (a == b)
    return link_class::device;
  if (node_of(a) != node_of(b))
    return link_class::network;
  auto domain = domains_[static_cast<std::size_t>(a.value())];
  auto same = domain >= 0
              && domain == domains_[static_cast<std::size_t>(b.value())];
  return same ? link_class::domain : link_class::node;
}

} // namespace troupe::planner
