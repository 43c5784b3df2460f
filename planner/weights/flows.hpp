// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "troupe/core/box.hpp"
#include "troupe/planner/weights/layout_index.hpp"
#include "troupe/planner/weights/shared_layout.hpp"

namespace troupe::planner::weights {

/// A box that each of some destination ranks needs once, and that each of some
/// source ranks could give.
struct flow {
  std::uint32_t logical = 0;
  box where;
  /// Numbers of sets in the two indexes.
  std::uint32_t sources = 0;
  std::uint32_t destinations = 0;
  /// Bytes of one element on the wire.
  std::uint32_t element_bytes = 0;

  /// What one destination receives.
  [[nodiscard]] std::uint64_t bytes() const noexcept {
    return static_cast<std::uint64_t>(where.size()) * element_bytes;
  }
};

/// All that has to move from one layout into another, each element that a
/// destination rank stores once, and however often it stores it. Elements that
/// no source rank holds are in no flow.
class flow_table {
public:
  /// The layouts must outlive it. Of several ranks that hold a box, only those
  /// count whose type loses nothing that another's would keep.
  /// O(segments log segments) if few boxes of a tensor overlap.
  flow_table(const shared_layout& source, const shared_layout& destination);

  /// Numbers of logical tensors; the destination's come first.
  [[nodiscard]] const name_table& names() const noexcept { return names_; }

  [[nodiscard]] std::uint32_t num_destination_names() const noexcept {
    return num_destination_names_;
  }

  /// By tensor.
  [[nodiscard]] const std::vector<flow>& flows() const noexcept {
    return flows_;
  }

  [[nodiscard]] const rank_sets& sources() const noexcept {
    return source_.sets();
  }

  [[nodiscard]] const rank_sets& destinations() const noexcept {
    return destination_.sets();
  }

private:
  class maker;

  name_table names_;
  // In this order: the destination's names are numbered first.
  layout_index destination_;
  std::uint32_t num_destination_names_;
  layout_index source_;
  std::vector<flow> flows_;
};

/// Bytes that must reach the destination's ranks, whoever sends them: no plan
/// moves fewer. Complexity as `flow_table`.
[[nodiscard]] std::uint64_t lower_bound(const shared_layout& source,
                                        const shared_layout& destination);

} // namespace troupe::planner::weights
