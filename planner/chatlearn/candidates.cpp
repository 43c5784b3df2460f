// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/chatlearn/candidates.hpp"

#include <fmt/format.h>

namespace troupe::planner::chatlearn {

outcome<candidate_choice> candidate_table::pick(
  std::int64_t position, std::int64_t start, std::int64_t source,
  const std::vector<std::int64_t>& group, bool pre_allocate) {
  auto first = position * tp_map_;
  if (tp_map_ < 1 || position < 0 || start < 0
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
  std::vector<entry> legal;
  for (std::int64_t n = 0; n < tp_map_; ++n) {
    auto x = *waiting.entries.begin();
    waiting.entries.erase(waiting.entries.begin());
    auto rank = key[static_cast<std::size_t>(x.index)];
    if (gpu_[static_cast<std::size_t>(rank)]
        == gpu_[static_cast<std::size_t>(source)]) {
      out.collided = true;
      // It may come up once more in this very loop and so hide a legal one
      // with more hits.
      x.sequence = waiting.next_sequence++;
      waiting.entries.insert(x);
    } else {
      legal.push_back(x);
    }
  }
  auto give_up = pre_allocate && !out.collided;
  if (!give_up && !legal.empty()) {
    out.rank = key[static_cast<std::size_t>(legal.front().index)];
    ++legal.front().hits;
  }
  waiting.entries.insert(legal.begin(), legal.end());
  if (!give_up && !out.rank)
    return refuse(refusal_kind::runtime,
                  fmt::format("rank {} shares a GPU with every rank that could "
                              "take its weights; place one of the models "
                              "elsewhere",
                              source));
  return out;
}

} // namespace troupe::planner::chatlearn
