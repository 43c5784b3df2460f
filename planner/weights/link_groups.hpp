// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "troupe/core/transfer_plan.hpp"
#include "troupe/planner/weights/layout_index.hpp"
#include "troupe/planner/weights/shared_layout.hpp"

namespace troupe::planner::weights {

/// What joins two ranks: equal devices of one node are one process.
[[nodiscard]] link_kind
link_between(const shared_layout::member& source,
             const shared_layout::member& destination) noexcept;

/// Destination ranks and the source ranks that each of them reaches by the
/// cheapest link it has.
struct link_group {
  link_kind link = link_kind::inproc;
  /// A set of `link_groups::candidates`.
  std::uint32_t candidates = 0;
  /// Positions in the destination layout, ascending.
  std::vector<std::uint32_t> destinations;
};

/// Sorts the destinations of a box by the links to its sources. Each pair of
/// sets is looked at once, however many boxes they share.
class link_groups {
public:
  /// The layouts must outlive it.
  link_groups(const shared_layout& source, const shared_layout& destination);

  /// Number of the answer; `groups` gives it. `from` and `to` are the sets with
  /// these numbers. O(from + to log from) the first time.
  std::uint32_t find(std::uint32_t from_number, rank_sets::ranks from,
                     std::uint32_t to_number, rank_sets::ranks to);

  [[nodiscard]] const std::vector<link_group>&
  groups(std::uint32_t number) const noexcept {
    return known_[number];
  }

  /// Sets of positions in the source layout.
  [[nodiscard]] const rank_sets& candidates() const noexcept {
    return candidates_;
  }

private:
  /// A process, and with `device` cut off a node.
  using place = std::uint64_t;

  [[nodiscard]] std::vector<link_group> sort_out(rank_sets::ranks from,
                                                 rank_sets::ranks to);

  std::vector<place> source_places_;
  std::vector<place> destination_places_;
  std::unordered_map<std::uint64_t, std::uint32_t> numbers_;
  std::vector<std::vector<link_group>> known_;
  rank_sets candidates_;
};

} // namespace troupe::planner::weights
