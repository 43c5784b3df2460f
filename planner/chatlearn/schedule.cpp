// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/chatlearn/schedule.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace troupe::planner::chatlearn {

namespace {

using rank_set = std::unordered_set<std::int64_t>;

bool disjoint(const rank_set& a, const ranks& b) {
  return std::none_of(b.begin(), b.end(),
                      [&](std::int64_t x) { return a.count(x) > 0; });
}

/// Puts items, in order, into the first set that has none of their ranks.
class first_fit {
public:
  /// The set that `members` went into.
  std::size_t add(const ranks& members) {
    std::size_t at = 0;
    while (at < sets_.size() && !disjoint(sets_[at], members))
      ++at;
    if (at == sets_.size())
      sets_.emplace_back();
    sets_[at].insert(members.begin(), members.end());
    return at;
  }

private:
  std::vector<rank_set> sets_;
};

} // namespace

send_table make_send_table(
  const std::vector<std::pair<std::int64_t, std::int64_t>>& pairs) {
  send_table out;
  std::unordered_map<std::int64_t, std::size_t> position;
  for (const auto& [from, to] : pairs) {
    auto [at, added] = position.emplace(from, out.size());
    if (added)
      out.emplace_back(from, ranks{});
    out[at->second].second.push_back(to);
  }
  return out;
}

std::vector<std::vector<std::int64_t>>
schedule_rounds(const std::vector<ranks>& groups) {
  std::vector<std::vector<std::int64_t>> rounds;
  std::vector<std::int64_t> queue(groups.size());
  std::iota(queue.begin(), queue.end(), std::int64_t{0});
  while (!queue.empty()) {
    rank_set busy;
    auto& round = rounds.emplace_back();
    std::vector<std::int64_t> later;
    for (auto i : queue) {
      const auto& group = groups[static_cast<std::size_t>(i)];
      if (disjoint(busy, group)) {
        busy.insert(group.begin(), group.end());
        round.push_back(i);
      } else {
        later.push_back(i);
      }
    }
    queue = std::move(later);
  }
  return rounds;
}

outcome<std::vector<ranks>> split_sync_groups(const ranks& order,
                                              const send_table& table) {
  std::unordered_map<std::int64_t, const ranks*> receivers;
  for (const auto& [from, to] : table)
    receivers.emplace(from, &to);
  std::vector<ranks> waves;
  first_fit sets;
  for (auto sender : order) {
    auto found = receivers.find(sender);
    if (found == receivers.end())
      return refuse(refusal_kind::key,
                    fmt::format("rank {} sends to nobody", sender));
    ranks members{sender};
    members.insert(members.end(), found->second->begin(), found->second->end());
    if (rank_set{members.begin(), members.end()}.size() != members.size())
      return refuse(refusal_kind::assertion,
                    fmt::format("a group names a rank twice: {}",
                                fmt::join(members, ", ")));
    auto at = sets.add(members);
    if (at == waves.size())
      waves.emplace_back();
    waves[at].push_back(sender);
  }
  return waves;
}

ranks interleave_senders(const send_table& table,
                         const std::vector<std::int64_t>& dp_rank,
                         std::int64_t dp_size) {
  std::map<std::int64_t, ranks> senders;
  for (const auto& entry : table)
    senders[dp_rank[static_cast<std::size_t>(entry.first)]].push_back(
      entry.first);
  for (auto& [dp, list] : senders)
    std::sort(list.begin(), list.end(), std::greater<>{});
  ranks out;
  out.reserve(table.size());
  std::int64_t dp = 0;
  while (out.size() < table.size()) {
    auto at = senders.find(dp);
    if (at == senders.end() || at->second.empty()) {
      // ChatLearn stops here with an exception.
      at = senders.lower_bound(dp);
      while (at == senders.end() || at->second.empty()) {
        if (at != senders.end())
          at = senders.erase(at);
        if (at == senders.end())
          at = senders.begin();
      }
      dp = at->first;
    }
    out.push_back(at->second.back());
    at->second.pop_back();
    ++dp;
    if (dp == dp_size || senders.find(dp) == senders.end())
      dp = 0;
  }
  return out;
}

std::vector<std::vector<std::pair<std::int64_t, std::int64_t>>>
second_stage_steps(const send_table& table, std::int64_t width) {
  using pairs = std::vector<std::pair<std::int64_t, std::int64_t>>;
  std::vector<pairs> sets;
  first_fit fit;
  for (const auto& [from, receivers] : table)
    for (auto to : receivers) {
      auto at = fit.add({from, to});
      if (at == sets.size())
        sets.emplace_back();
      sets[at].emplace_back(from, to);
    }
  std::vector<pairs> steps;
  for (const auto& set : sets)
    for (std::size_t i = 0; i < set.size();
         i += static_cast<std::size_t>(width))
      steps.emplace_back(set.begin() + static_cast<std::ptrdiff_t>(i),
                         set.begin()
                           + static_cast<std::ptrdiff_t>(
                             std::min(set.size(),
                                      i + static_cast<std::size_t>(width))));
  return steps;
}

} // namespace troupe::planner::chatlearn
