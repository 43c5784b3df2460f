// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "troupe/core/dlpack.hpp"
#include "troupe/core/dtype.hpp"
#include "troupe/core/shape.hpp"
#include "troupe/core/weight_layout.hpp"

namespace troupe::comm {

class shared_memory;

} // namespace troupe::comm

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
  /// What `memory` lies in, if other processes can read it without a copy on
  /// this side: an shm arena, or memory of a device.
  std::shared_ptr<comm::shared_memory> arena = {};
  /// Where `memory` is: of this process, or of a device that it can reach.
  dlpack::device device = {};
};

/// All parameters of one rank, names unique, in a stable order.
using parameter_list = std::vector<parameter>;

} // namespace troupe
