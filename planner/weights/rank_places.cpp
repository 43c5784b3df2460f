// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/weights/rank_places.hpp"

#include <algorithm>
#include <span>

namespace troupe::planner::weights {

rank_places::rank_places(const shared_layout& layout,
                         const std::vector<std::string>& logical)
  : layout_(layout) {
  std::unordered_map<std::string_view, std::uint32_t> numbers;
  for (std::uint32_t i = 0; i < logical.size(); ++i)
    numbers.emplace(logical[i], i);
  for (const auto& part : layout.parts()) {
    auto& list = entries_.emplace_back();
    for (std::uint32_t i = 0; i < part.size(); ++i)
      for (const auto& segment : part[i].segments)
        if (auto at = numbers.find(segment.logical);
            at != numbers.end() && !segment.where.empty())
          list.push_back({at->second, {&part[i], &segment, i}});
    std::ranges::stable_sort(list, {}, &entry::logical);
  }
}

void rank_places::find(std::uint32_t position, std::uint32_t logical,
                       const box& where, std::vector<stored_place>& out) const {
  out.clear();
  std::uint32_t first = 0;
  for (auto part : layout_.ranks()[position].parts) {
    const auto& list = entries_[part];
    for (const auto& x :
         std::span{std::ranges::lower_bound(list, logical, {}, &entry::logical),
                   std::ranges::upper_bound(list, logical, {},
                                            &entry::logical)}) {
      if (!x.place.segment->where.intersection(where))
        continue;
      out.push_back(x.place);
      out.back().index += first;
    }
    first += static_cast<std::uint32_t>(layout_.parts()[part].size());
  }
  std::ranges::stable_sort(out, std::ranges::greater{}, [](const auto& x) {
    return size_of(x.tensor->type);
  });
}

} // namespace troupe::planner::weights
