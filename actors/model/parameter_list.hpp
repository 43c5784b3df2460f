// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "troupe/core/dtype.hpp"
#include "troupe/core/shape.hpp"
#include "troupe/core/weight_layout.hpp"

namespace troupe::comm::shm {

class arena;

} // namespace troupe::comm::shm

namespace troupe {

/// One stored tensor of a rank: a view of memory that the module owns.
/// Elements are dense row-major. Names are the model's canonical (Hugging
/// Face) names, so that two models agree on what to move.
struct parameter {
  std::string name;
  dtype type = dtype::float32;
  shape extents;
  std::span<std::byte> memory;
  /// Only parameters that train are moved when a sync asks for those alone.
  bool requires_grad = true;
  /// What the tensor holds of logical ones; empty: all of the logical tensor of
  /// its name. Shards, fused and padded tensors say so here, and then `name` is
  /// this rank's own.
  std::vector<weight_segment> segments = {};
  /// The arena that `memory` lies in, if any: other processes then read it
  /// without a copy on this side.
  std::shared_ptr<comm::shm::arena> arena = {};
};

/// All parameters of one rank, names unique, in a stable order.
using parameter_list = std::vector<parameter>;

} // namespace troupe
