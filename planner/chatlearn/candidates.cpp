// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/chatlearn/candidates.hpp"

#include <fmt/format.h>

namespace troupe::planner::chatlearn {

outcome<candidate_choice> candidate_table::pick(
  std::int64_t position, std::int64_t start, std::int64_t source,
  const std::vector<std::int64_t>& group, bool pre_allocate) {
  auto first = position * tp_map_;
  if (position < 0 || start < 0
      || first + tp_map_ > static_cast<std::int64_t>(group.size()))
    return refuse(refusal_kind::index,
                  fmt::format("position {} has no {} candidates in a group of "
                              "{}",
                              position, tp_map_, group.size()));
  std::vector<std::int64_t> key{group.begin() + first,
                                group.begin() + first + tp_map_};
  auto [at, created] = queues_.try_emplace(key);
  auto& waiting = at->second;
  if (created) {
    for (std::int64_t n = 0; n < tp_map_; ++n)
      waiting.entries.insert({0, n, (start + n) % tp_map_});
    waiting.next_sequence = tp_map_;
  }
  candidate_choice out;
  std::optional<entry> best;
  std::vector<entry> moved;
  for (auto i = waiting.entries.begin(); i != waiting.entries.end();) {
    auto rank = key[static_cast<std::size_t>(i->index)];
    if (gpu_[static_cast<std::size_t>(rank)]
        == gpu_[static_cast<std::size_t>(source)]) {
      out.collided = true;
      moved.push_back({i->hits, waiting.next_sequence++, i->index});
      i = waiting.entries.erase(i);
      continue;
    }
    if (!best)
      best = *i;
    ++i;
  }
  waiting.entries.insert(moved.begin(), moved.end());
  if (pre_allocate && !out.collided)
    return out;
  if (!best)
    return refuse(refusal_kind::runtime,
                  fmt::format("rank {} shares a GPU with every rank that could "
                              "take its weights; place one of the models "
                              "elsewhere",
                              source));
  waiting.entries.erase(*best);
  ++best->hits;
  out.rank = key[static_cast<std::size_t>(best->index)];
  waiting.entries.insert(*best);
  return out;
}

} // namespace troupe::planner::chatlearn
