// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/seats.hpp"

#include <numeric>

namespace troupe::model {

std::vector<protocol::rank_seat>
seats_of(const planner::replica_place& place,
         const std::vector<std::int32_t>& devices_per_node) {
  std::vector<protocol::rank_seat> out;
  for (const auto& rank : place.ranks) {
    protocol::rank_seat seat{rank.node, -1};
    if (!rank.devices.empty()) {
      auto first = devices_per_node.begin();
      auto before = std::accumulate(first, first + rank.node.value(), 0);
      seat.device = rank.devices.front().value() - before;
    }
    out.push_back(seat);
  }
  return out;
}

} // namespace troupe::model
