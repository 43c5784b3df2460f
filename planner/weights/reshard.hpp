// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/core/transfer_plan.hpp"
#include "troupe/planner/weights/shared_layout.hpp"

namespace troupe::planner::weights {

/// Plans how the weights of one layout get into another, whatever the two are.
///
/// * Every element that a destination rank stores, and that a source rank
///   holds, travels to that rank exactly once, so that the bytes moved are
///   `lower_bound(source, destination)`. What no source rank holds is left out;
///   `verify` names it.
/// * Of the source ranks that hold a box, those on the destination's device
///   come first, then those on its node, then all others.
/// * Among them the load is levelled (`load_leveler`): the smallest sets of
///   candidates first, destinations of a box and, where that is not enough,
///   the box itself split between several sources.
/// * Destinations that take the same box from the same source over the same
///   kind of link are one transfer.
///
/// The same input gives the same plan; transfers are ordered by tensor. Let s
/// be the segments of the layouts' parts, and t the transfers: O((s + t) log)
/// if few boxes of one tensor overlap each other inside a layout.
[[nodiscard]] transfer_plan reshard(const shared_layout& source,
                                    const shared_layout& destination);

} // namespace troupe::planner::weights
