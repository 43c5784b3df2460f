// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "troupe/core/dtype.hpp"
#include "troupe/core/shape.hpp"

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
};

/// All parameters of one rank, names unique, in a stable order.
using parameter_list = std::vector<parameter>;

} // namespace troupe
