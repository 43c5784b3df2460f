// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/weights/layout_index.hpp"

#include <algorithm>
#include <functional>
#include <iterator>

namespace troupe::planner::weights {

// -- name_table ----------------------------------------------------------------

std::uint32_t name_table::add(std::string_view name) {
  auto number = index_.find_or_add(std::hash<std::string_view>{}(name),
                                   [&](auto i) { return names_[i] == name; });
  if (number == names_.size())
    names_.push_back(name);
  return number;
}

std::uint32_t name_table::find(std::string_view name) const {
  return index_.find(std::hash<std::string_view>{}(name),
                     [&](auto i) { return names_[i] == name; });
}

// -- rank_sets -----------------------------------------------------------------

std::uint32_t rank_sets::add(ranks x) {
  std::uint64_t hash = x.size();
  for (auto rank : x)
    hash = mixed(hash, rank);
  auto number = index_.find_or_add(hash, [&](auto i) {
    return std::ranges::equal((*this)[i], x);
  });
  if (number == size()) {
    ranks_.insert(ranks_.end(), x.begin(), x.end());
    begin_.push_back(ranks_.size());
  }
  return number;
}

std::uint32_t rank_sets::unite(std::uint32_t a, std::uint32_t b) {
  if (a == b)
    return a;
  std::vector<std::uint32_t> both;
  std::ranges::set_union((*this)[a], (*this)[b], std::back_inserter(both));
  return add(both);
}

bool rank_sets::disjoint(std::uint32_t a, std::uint32_t b) const noexcept {
  if (a == b)
    return false;
  auto x = (*this)[a];
  auto y = (*this)[b];
  for (auto i = x.begin(), j = y.begin(); i != x.end() && j != y.end();) {
    if (*i == *j)
      return false;
    *i < *j ? ++i : ++j;
  }
  return true;
}

// -- layout_index --------------------------------------------------------------

/// What is found in a layout's parts, before it is sorted by tensor.
struct layout_index::entries {
  std::vector<held_box> boxes;
  /// Of each box.
  std::vector<std::uint32_t> logical;
  /// (box, part) for every segment.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> segments;
};

layout_index::layout_index(const shared_layout& layout, name_table& names) {
  entries found;
  flat_index known;
  auto add = [&](const weight_segment& segment, dtype type) {
    auto logical = names.add(segment.logical);
    auto hash = mixed(logical, static_cast<std::uint64_t>(type));
    for (std::size_t i = 0; i < segment.where.dims(); ++i) {
      hash = mixed(hash, static_cast<std::uint64_t>(segment.where[i].begin));
      hash = mixed(hash, static_cast<std::uint64_t>(segment.where[i].end));
    }
    auto number = known.find_or_add(hash, [&](auto i) {
      return found.logical[i] == logical && found.boxes[i].type == type
             && found.boxes[i].where == segment.where;
    });
    if (number == found.boxes.size()) {
      found.boxes.push_back({segment.where, type, 0});
      found.logical.push_back(logical);
    }
    return number;
  };
  for (std::uint32_t part = 0; part < layout.parts().size(); ++part)
    for (const auto& tensor : layout.parts()[part])
      for (const auto& segment : tensor.segments)
        if (!segment.where.empty())
          found.segments.emplace_back(add(segment, tensor.type), part);
  number_holders(layout, found);
  begin_.assign(names.size() + 1, 0);
  for (auto logical : found.logical)
    ++begin_[logical + 1];
  for (std::size_t i = 1; i < begin_.size(); ++i)
    begin_[i] += begin_[i - 1];
  auto next = begin_;
  std::vector<held_box> sorted(boxes_.size());
  for (std::size_t i = 0; i < boxes_.size(); ++i)
    sorted[next[found.logical[i]]++] = boxes_[i];
  boxes_ = std::move(sorted);
}

void layout_index::number_holders(const shared_layout& layout,
                                  const entries& found) {
  std::vector<std::vector<std::uint32_t>> members(layout.parts().size());
  for (std::uint32_t r = 0; r < layout.ranks().size(); ++r)
    for (auto part : layout.ranks()[r].parts)
      members[part].push_back(r);
  std::vector<std::uint32_t> set_of_part;
  for (auto& list : members) {
    list.erase(std::unique(list.begin(), list.end()), list.end());
    set_of_part.push_back(sets_.add(list));
  }
  // Parts of each box, sorted by counting.
  std::vector<std::uint32_t> first(found.boxes.size() + 1, 0);
  for (const auto& [number, part] : found.segments)
    ++first[number + 1];
  for (std::size_t i = 1; i < first.size(); ++i)
    first[i] += first[i - 1];
  std::vector<std::uint32_t> parts(found.segments.size());
  auto next = first;
  for (const auto& [number, part] : found.segments)
    parts[next[number]++] = part;
  boxes_ = found.boxes;
  std::vector<std::uint32_t> all;
  for (std::size_t i = 0; i < boxes_.size(); ++i) {
    auto own = std::span{parts}.subspan(first[i], first[i + 1] - first[i]);
    if (std::ranges::all_of(own, [&](auto x) { return x == own.front(); })) {
      boxes_[i].holders = set_of_part[own.front()];
      continue;
    }
    all.clear();
    for (auto part : own)
      all.insert(all.end(), members[part].begin(), members[part].end());
    std::ranges::sort(all);
    all.erase(std::unique(all.begin(), all.end()), all.end());
    boxes_[i].holders = sets_.add(all);
  }
}

std::span<const held_box> layout_index::of(std::uint32_t logical) const {
  if (std::size_t{logical} + 1 >= begin_.size())
    return {};
  return std::span{boxes_}.subspan(begin_[logical],
                                   begin_[logical + 1] - begin_[logical]);
}

} // namespace troupe::planner::weights
