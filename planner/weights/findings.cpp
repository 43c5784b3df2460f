// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/weights/findings.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "troupe/core/units.hpp"
#include "troupe/planner/weights/box_cells.hpp"

namespace troupe::planner::weights {

std::string name_ranks(std::vector<rank_id> ranks) {
  std::ranges::sort(ranks);
  ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
  std::string out = ranks.size() == 1 ? "rank " : "ranks ";
  for (std::size_t i = 0; i < ranks.size();) {
    auto j = i;
    while (j + 1 < ranks.size() && ranks[j + 1].value() == ranks[j].value() + 1)
      ++j;
    out += i == 0 ? "" : ", ";
    out += to_string(ranks[i]);
    if (j > i)
      out += (j == i + 1 ? ", " : "-") + to_string(ranks[j]);
    i = j + 1;
  }
  return out;
}

void findings::add(rank_id rank, const std::string& tensor, const box& where,
                   const std::string& what) {
  // What comes in a row of one rank and tensor is one problem.
  if (!found_.empty() && found_.back().rank == rank
      && found_.back().tensor == tensor && found_.back().what == what) {
    found_.back().boxes.push_back(where);
    return;
  }
  if (full()) {
    ++left_out_;
    return;
  }
  found_.push_back({tensor, what, rank, {where}});
}

std::vector<std::string> findings::take(std::size_t limit) {
  auto out = std::move(sentences_);
  std::map<std::string, std::size_t> numbers;
  std::vector<std::pair<const finding*, std::vector<rank_id>>> groups;
  for (auto& x : found_) {
    x.boxes = joined(std::move(x.boxes));
    auto key = x.tensor + '\n' + x.what;
    for (const auto& where : x.boxes)
      key += '\n' + to_string(where);
    auto [at, added] = numbers.emplace(std::move(key), groups.size());
    if (added)
      groups.push_back({&x, {}});
    groups[at->second].second.push_back(x.rank);
  }
  for (auto& [x, ranks] : groups)
    for (const auto& where : x->boxes)
      out.push_back(fmt::format("{}: {} {} {}", name_ranks(ranks), x->tensor,
                                to_string(where), x->what));
  if (out.size() > limit) {
    left_out_ += out.size() - limit;
    out.resize(limit);
  }
  if (left_out_ > 0)
    out.push_back(fmt::format("and {} more", format_count(left_out_)));
  return out;
}

} // namespace troupe::planner::weights
