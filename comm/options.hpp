// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace troupe::comm {

/// How the collectives cut their data. Equal on all ranks of a group.
struct collective_options {
  /// Longest message of one step: longer blocks travel in segments, so that a
  /// step's reduction overlaps with the next transfer and staging stays small.
  /// Settable so that tests reach the many-segment paths with little data.
  /// Never below 8, rounded down to whole elements.
  std::size_t segment_bytes = 1u << 20;
};

} // namespace troupe::comm
