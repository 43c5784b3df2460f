// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/straggler_watch.hpp"

#include <algorithm>

namespace troupe::engine {

namespace {

using std::chrono::microseconds;

microseconds own(const protocol::rank_time& x) {
  return microseconds{static_cast<std::int64_t>(x.own_us)};
}

/// The median of `sorted` without its entry `left_out`. At least two entries.
microseconds median_without(const std::vector<microseconds>& sorted,
                            std::size_t left_out) {
  auto at = [&](std::size_t i) { return sorted[i < left_out ? i : i + 1]; };
  auto count = sorted.size() - 1;
  auto upper = at(count / 2);
  return count % 2 == 1 ? upper : (at(count / 2 - 1) + upper) / 2;
}

} // namespace

std::vector<straggler>
straggler_watch::look(const std::vector<protocol::rank_time>& times,
                      std::int64_t episode) {
  std::vector<straggler> out;
  if (factor_ <= 0)
    return out;
  std::map<std::int32_t, std::vector<const protocol::rank_time*>> stages;
  for (const auto& x : times)
    stages[x.stage].push_back(&x);
  for (auto& [stage, ranks] : stages) {
    if (ranks.size() < 2)
      continue;
    std::ranges::stable_sort(ranks, {},
                             [](const auto* x) { return x->own_us; });
    std::vector<microseconds> sorted;
    for (const auto* x : ranks)
      sorted.push_back(own(*x));
    for (std::size_t i = 0; i < ranks.size(); ++i) {
      auto peers = median_without(sorted, i);
      auto bound = factor_ * static_cast<double>(peers.count());
      if (sorted[i] - peers < least_
          || static_cast<double>(sorted[i].count()) <= bound)
        continue;
      auto [told, fresh] = told_.try_emplace(ranks[i]->rank, episode);
      if (!fresh && episode - told->second < episodes_between)
        continue;
      told->second = episode;
      out.push_back({ranks[i]->rank, sorted[i], peers});
    }
  }
  return out;
}

} // namespace troupe::engine
