// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "troupe/actors/protocol/model.hpp"
#include "troupe/planner/placement.hpp"

namespace troupe::model {

/// The seats of a replica's ranks as nodes know them: each node counts its own
/// devices, a plan those of all nodes one after the other.
[[nodiscard]] std::vector<protocol::rank_seat>
seats_of(const planner::replica_place& place,
         const std::vector<std::int32_t>& devices_per_node);

} // namespace troupe::model
