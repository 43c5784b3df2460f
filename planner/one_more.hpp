// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/planner/placement.hpp"

namespace troupe::planner {

/// A place for one more replica of a model that stands already, on one node:
/// devices that no replica of the model holds, next to each other, those first
/// that the fewest replicas of any model hold, then the lowest numbers. A CPU
/// model goes to the node with the fewest of its replicas.
///
/// Errors: `errc::invalid` (no such model), `errc::exhausted` (no node has so
/// many devices without this model; says how many there are). Deterministic.
/// Complexity: O(devices * devices of a replica + ranks).
[[nodiscard]] result<replica_place> place_one_more(const placement& plan,
                                                   const job_spec& job,
                                                   const cluster& machines,
                                                   std::string_view model);

} // namespace troupe::planner
