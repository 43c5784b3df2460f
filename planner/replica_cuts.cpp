// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/replica_cuts.hpp"

#include <algorithm>

namespace troupe::planner {

namespace {

/// Tearing a process is worse than tearing any number of replicas.
constexpr std::int64_t process_weight = std::int64_t{1} << 32;

} // namespace

replica_cuts::replica_cuts(const std::vector<const model_spec*>& members,
                           const std::vector<pack>& packs) {
  for (const auto& side_by_side : packs) {
    std::int32_t at = 0;
    for (auto i : side_by_side) {
      const auto& model = *members[static_cast<std::size_t>(i)];
      auto width = model.num_gpu / model.num_replica;
      for (std::int32_t r = 0; r < model.num_replica; ++r, at += width) {
        replicas_.push_back({at, at + width, false});
        units_.push_back({replicas_.back(), 1});
        if (model.gpu_per_process > 1)
          for (auto p = at; p < at + width; p += model.gpu_per_process)
            units_.push_back(
              {{p, p + model.gpu_per_process, false}, process_weight});
      }
    }
  }
  auto earlier = [](const slot_span& a, const slot_span& b) {
    return a.begin < b.begin;
  };
  std::stable_sort(replicas_.begin(), replicas_.end(), earlier);
  std::stable_sort(units_.begin(), units_.end(),
                   [&](const unit& a, const unit& b) {
                     return earlier(a.span, b.span);
                   });
}

std::vector<slot_span> replica_cuts::segments() const {
  std::vector<slot_span> out;
  for (const auto& x : replicas_)
    if (out.empty() || x.begin >= out.back().end)
      out.push_back(x);
    else
      out.back().end = std::max(out.back().end, x.end);
  return out;
}

std::vector<slot_span> replica_cuts::pieces(const slot_span& within,
                                            std::int32_t limit) const {
  auto size = static_cast<std::size_t>(within.size());
  // What a cut before slot `within.begin + i` tears, and whether a unit begins
  // or ends there.
  std::vector<std::int64_t> torn(size + 1, 0);
  std::vector<bool> border(size + 1, false);
  auto from = std::lower_bound(units_.begin(), units_.end(), within.begin,
                               [](const unit& a, std::int32_t begin) {
                                 return a.span.begin < begin;
                               });
  for (; from != units_.end() && from->span.begin < within.end; ++from) {
    const auto& span = from->span;
    if (span.end > within.end || span.size() > limit)
      continue;
    auto begin = static_cast<std::size_t>(span.begin - within.begin);
    auto end = static_cast<std::size_t>(span.end - within.begin);
    border[begin] = true;
    border[end] = true;
    torn[begin + 1] += from->weight;
    torn[end] -= from->weight;
  }
  border[size] = true;
  for (std::size_t i = 1; i <= size; ++i)
    torn[i] += torn[i - 1];
  std::vector<slot_span> out;
  std::size_t begin = 0;
  auto emit = [&](std::size_t end, bool loose) {
    out.push_back({within.begin + static_cast<std::int32_t>(begin),
                   within.begin + static_cast<std::int32_t>(end), loose});
    begin = end;
  };
  auto most = static_cast<std::size_t>(std::max(limit, 1));
  for (std::size_t end = 1; end <= size; ++end) {
    if (!border[end] || torn[end] != 0)
      continue;
    auto loose = end - begin > 1 && torn[begin + 1] == 0;
    while (!loose && end - begin > most) {
      auto best = begin + most;
      for (auto cut = best; cut > begin; --cut)
        if (torn[cut] < torn[best])
          best = cut;
      emit(best, false);
    }
    emit(end, loose);
  }
  return out;
}

} // namespace troupe::planner
