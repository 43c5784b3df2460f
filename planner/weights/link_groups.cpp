// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/weights/link_groups.hpp"

#include <algorithm>
#include <map>
#include <span>

namespace troupe::planner::weights {

namespace {

constexpr int device_bits = 32;

std::uint64_t place_of(const shared_layout::member& x) noexcept {
  return static_cast<std::uint64_t>(x.node.value()) << device_bits
         | static_cast<std::uint32_t>(x.device.value());
}

std::vector<std::uint64_t> places_of(const shared_layout& layout) {
  std::vector<std::uint64_t> out;
  for (const auto& x : layout.ranks())
    out.push_back(place_of(x));
  return out;
}

} // namespace

link_kind link_between(const shared_layout::member& source,
                       const shared_layout::member& destination) noexcept {
  if (source.node != destination.node)
    return link_kind::gloo;
  return source.device == destination.device ? link_kind::inproc
                                             : link_kind::shm;
}

link_groups::link_groups(const shared_layout& source,
                         const shared_layout& destination)
  : source_places_(places_of(source)),
    destination_places_(places_of(destination)) {
  // nop
}

std::uint32_t link_groups::find(std::uint32_t from_number,
                                rank_sets::ranks from, std::uint32_t to_number,
                                rank_sets::ranks to) {
  auto key = static_cast<std::uint64_t>(from_number) << 32 | to_number;
  auto [at, added] = numbers_.emplace(key, known_.size());
  if (added)
    known_.push_back(sort_out(from, to));
  return at->second;
}

std::vector<link_group> link_groups::sort_out(rank_sets::ranks from,
                                              rank_sets::ranks to) {
  std::vector<std::uint32_t> sorted{from.begin(), from.end()};
  std::ranges::stable_sort(sorted, {},
                           [&](auto r) { return source_places_[r]; });
  // Ranks of `sorted` whose place is the given one but for the lowest bits.
  auto at = [&](place x, int ignored) {
    auto place_of = [&](std::uint32_t r) {
      return source_places_[r] >> ignored;
    };
    // Not ranges::equal_range, whose result clang 14 cannot compile.
    return std::span<const std::uint32_t>{std::ranges::lower_bound(sorted,
                                                                   x >> ignored,
                                                                   {},
                                                                   place_of),
                                          std::ranges::upper_bound(sorted,
                                                                   x >> ignored,
                                                                   {},
                                                                   place_of)};
  };
  std::map<std::pair<link_kind, place>, link_group> groups;
  for (auto rank : to) {
    auto place = destination_places_[rank];
    auto link = link_kind::inproc;
    auto found = at(place, 0);
    if (found.empty()) {
      link = link_kind::shm;
      found = at(place, device_bits);
    }
    if (found.empty()) {
      link = link_kind::gloo;
      found = {sorted.begin(), sorted.end()};
    }
    auto key = std::pair{link, link == link_kind::inproc ? place
                               : link == link_kind::shm  ? place >> device_bits
                                                         : 0};
    auto [group, added] = groups.try_emplace(key);
    if (added) {
      std::vector<std::uint32_t> ranks{found.begin(), found.end()};
      std::ranges::sort(ranks);
      group->second.link = link;
      group->second.candidates = candidates_.add(ranks);
    }
    group->second.destinations.push_back(rank);
  }
  std::vector<link_group> out;
  for (auto& [key, group] : groups)
    out.push_back(std::move(group));
  return out;
}

} // namespace troupe::planner::weights
