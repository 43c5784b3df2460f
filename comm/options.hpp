// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace troupe::comm {

/// How the collectives cut their data. Equal on all ranks of a group.
struct collective_options {
  /// Longest message of one step: longer blocks travel in segments, so that
  /// reducing one overlaps with moving the next. Settable so that tests reach
  /// the many-segment paths with little data. At least 8; rounded down to a
  /// multiple of 8, the largest element.
  std::size_t segment_bytes = std::size_t{1} << 20;

  /// An all_reduce of at most so many bytes goes through a tree, which takes
  /// fewer steps than the ring.
  std::size_t tree_bytes = std::size_t{8} << 10;
};

} // namespace troupe::comm
