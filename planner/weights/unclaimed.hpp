// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "troupe/planner/weights/shared_layout.hpp"

namespace troupe::planner::weights {

/// What a source holds in vain.
struct unclaimed_tensors {
  /// Logical tensors of which the destination stores nothing, in the order of
  /// the source's parts.
  std::vector<std::string> names;
  /// Logical tensors that the source holds, with these.
  std::size_t held = 0;
};

/// No plan moves them, so `verify` has nothing to say about them. Tensors
/// without elements do not count. O(segments of all parts).
[[nodiscard]] unclaimed_tensors unclaimed(const shared_layout& source,
                                          const shared_layout& destination);

/// The same in a sentence for people, with the first of the names; empty if
/// there are none.
[[nodiscard]] std::string unclaimed_text(const shared_layout& source,
                                         const shared_layout& destination);

} // namespace troupe::planner::weights
