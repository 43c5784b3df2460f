// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "troupe/planner/weights/shared_layout.hpp"

namespace troupe::planner::weights {

/// A segment that a rank stores.
struct stored_place {
  const stored_tensor* tensor = nullptr;
  const weight_segment* segment = nullptr;
  /// Index into the rank's parameters.
  std::uint32_t index = 0;
};

/// Finds where a rank stores regions of logical tensors.
class rank_places {
public:
  /// `logical` are the names by which tensors are numbered. All arguments must
  /// outlive it. O(segments of the layout's parts).
  rank_places(const shared_layout& layout,
              const std::vector<std::string>& logical);

  /// The places where the rank at `position` stores something of `where`, those
  /// of the widest type first, then in the order of its parameters.
  /// O(parts of the rank + segments of the tensor there).
  void find(std::uint32_t position, std::uint32_t logical, const box& where,
            std::vector<stored_place>& out) const;

private:
  struct entry {
    std::uint32_t logical;
    stored_place place;
  };

  const shared_layout& layout_;
  /// By part, sorted by tensor.
  std::vector<std::vector<entry>> entries_;
};

} // namespace troupe::planner::weights
