// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

#include "troupe/planner/chatlearn/rank_map.hpp"

namespace troupe::planner::chatlearn {

namespace {

class plan_verifier {
public:
  plan_verifier(const sync_plan& plan, const sync_request& request)
    : plan_(plan),
      request_(request) {
    gpu_ = request.source.gpu;
    gpu_.insert(gpu_.end(), request.destination.gpu.begin(),
                request.destination.gpu.end());
  }

  std::vector<std::string> run() {
    check_slices();
    check_reach();
    check_experts();
    check_waves();
    check_steps();
    check_gpus();
    return std::move(problems_);
  }

private:
  [[nodiscard]] std::int64_t num_source() const {
    return static_cast<std::int64_t>(request_.source.gpu.size());
  }

  void check_slices() {
    auto from = request_.source.tensor;
    auto to = request_.destination.tensor;
    if (to % from != 0)
      problems_.push_back(fmt::format("the destination's tensor size {} is no "
                                      "multiple of the source's {}: some ranks "
                                      "would get slices of the wrong size",
                                      to, from));
  }

  /// Every destination rank must hear from each source stage that its own stage
  /// holds, directly or through its neighbours.
  void check_reach() {
    auto to = request_.destination.pipeline;
    auto fold = std::max<std::int64_t>(request_.source.pipeline / to, 1);
    std::map<std::int64_t, std::set<std::int64_t>> stages;
    auto stage_of = stages_of_sources();
    for (const auto& [a, b] : plan_.stage1)
      stages[b].insert(stage_of[static_cast<std::size_t>(a)]);
    if (plan_.stage2) {
      auto first = stages;
      for (const auto& [a, b] : *plan_.stage2)
        if (auto found = first.find(a); found != first.end())
          stages[b].insert(found->second.begin(), found->second.end());
    }
    auto rank = num_source();
    for (auto size : request_.destination.replica_sizes) {
      auto per_stage = std::max<std::int64_t>(size / to, 1);
      for (std::int64_t i = 0; i < size; ++i, ++rank) {
        const auto& heard = stages[rank];
        auto stage = i / per_stage;
        for (auto s = stage * fold; s < (stage + 1) * fold; ++s)
          if (heard.count(s) == 0) {
            problems_.push_back(fmt::format("destination rank {} gets nothing "
                                            "from source stage {}",
                                            rank, s));
            break;
          }
      }
    }
  }

  /// The pipeline stage of each source rank: its place in its data group.
  [[nodiscard]] std::vector<std::int64_t> stages_of_sources() const {
    std::vector<std::int64_t> out(request_.source.gpu.size(), 0);
    for (const auto& list : plan_.src_dp_ranks) {
      auto per_stage = std::max<std::size_t>(list.size()
                                               / static_cast<std::size_t>(
                                                 request_.source.pipeline),
                                             1);
      for (std::size_t i = 0; i < list.size(); ++i)
        out[static_cast<std::size_t>(list[i])] = static_cast<std::int64_t>(
          i / per_stage);
    }
    return out;
  }

  void check_experts() {
    if (request_.variant == sync_variant::hep && plan_.stage2
        && plan_.routed.empty() && request_.source.expert > 1)
      problems_.push_back("the source spreads its routed experts over several "
                          "ranks, but nobody sends them");
  }

  void check_waves() {
    if (!plan_.send_order)
      return;
    const auto& table = plan_.stage2 ? plan_.send_recv_routed : plan_.send_recv;
    std::map<std::int64_t, int> runs;
    for (const auto& wave : plan_.send_waves)
      for (auto sender : wave)
        ++runs[sender];
    for (const auto& entry : table)
      if (runs[entry.first] != 1)
        problems_.push_back(fmt::format("sender {} runs {} times", entry.first,
                                        runs[entry.first]));
  }

  void check_steps() {
    if (!plan_.stage2)
      return;
    std::map<std::pair<std::int64_t, std::int64_t>, int> left;
    for (const auto& pair : *plan_.stage2)
      ++left[pair];
    for (const auto& step : plan_.steps) {
      std::set<std::int64_t> busy;
      for (const auto& pair : step) {
        --left[pair];
        if (!busy.insert(pair.first).second || !busy.insert(pair.second).second)
          problems_.push_back(fmt::format("{} -> {} runs beside another pair "
                                          "of one of its ranks",
                                          pair.first, pair.second));
      }
    }
    for (const auto& [pair, count] : left)
      if (count != 0)
        problems_.push_back(fmt::format("{} -> {} of stage 2 never runs",
                                        pair.first, pair.second));
  }

  void check_gpus() {
    if (plan_.comm == sync_comm::p2p)
      return;
    for (const auto& group : plan_.groups) {
      std::unordered_map<std::int64_t, std::int64_t> rank_on;
      for (auto r : group) {
        auto [at, added] = rank_on.emplace(gpu_[static_cast<std::size_t>(r)],
                                           r);
        if (!added)
          problems_.push_back(fmt::format("ranks {} and {} are in one group "
                                          "and on one GPU, which NCCL "
                                          "refuses",
                                          at->second, r));
      }
    }
  }

  const sync_plan& plan_;
  const sync_request& request_;
  std::vector<std::int64_t> gpu_;
  std::vector<std::string> problems_;
};

} // namespace

std::vector<std::string> verify(const sync_plan& plan,
                                const sync_request& request) {
  return plan_verifier{plan, request}.run();
}

} // namespace troupe::planner::chatlearn
