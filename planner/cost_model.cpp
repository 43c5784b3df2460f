// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/cost_model.hpp"

#include <algorithm>

namespace troupe::planner {

std::string_view to_string(link_class x) noexcept {
  switch (x) {
    case link_class::device: return "device";
    case link_class::domain: return "domain";
    case link_class::node: return "node";
    case link_class::network: return "network";
  }
  return "unknown";
}

double bandwidth_of(const cost_model& costs, link_class x,
                    const node_spec& where) noexcept {
  switch (x) {
    case link_class::device: return costs.device_bandwidth;
    case link_class::domain: return costs.domain_bandwidth;
    case link_class::node: return costs.node_bandwidth;
    case link_class::network: break;
  }
  auto devices = std::max<std::size_t>(1, where.devices.size());
  return costs.nic_bandwidth * std::max(1, where.num_nic)
         / static_cast<double>(devices);
}

} // namespace troupe::planner
