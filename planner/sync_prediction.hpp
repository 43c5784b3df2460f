// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "troupe/core/error.hpp"
#include "troupe/planner/cost_model.hpp"
#include "troupe/planner/device_map.hpp"
#include "troupe/planner/model_profile.hpp"
#include "troupe/planner/model_spec.hpp"
#include "troupe/planner/placement.hpp"

namespace troupe::planner {

/// What one weight sync will move.
struct sync_prediction {
  std::string source;
  std::string destination;
  /// Written at the destination, all replicas together.
  std::uint64_t bytes = 0;
  /// The same by the link that carries them.
  std::array<std::uint64_t, num_link_class> bytes_by_link{};
  double seconds = 0;
  /// The link that takes the longest.
  link_class slowest = link_class::device;
};

/// One end of a sync.
struct sync_end {
  const model_spec& spec;
  const model_profile& profile;
  const model_place& place;
};

/// Cuts the weights into pipeline x tensor boxes, lets every destination rank
/// fetch each part of its box from the nearest source rank that holds it (among
/// equally near ones the least loaded in the node, else in turn), and times the
/// busiest device and the busiest node. Fails with `errc::invalid` if sizes and
/// placement disagree. O(destination ranks * boxes that overlap).
[[nodiscard]] result<sync_prediction> predict_sync(const sync_end& source,
                                                   const sync_end& destination,
                                                   const cluster& machines,
                                                   const device_map& devices,
                                                   const cost_model& costs);

} // namespace troupe::planner
