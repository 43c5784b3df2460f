// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/golden_check/soundness.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "troupe/planner/saturate.hpp"

namespace troupe::golden {

namespace {

using numbers = std::vector<std::int64_t>;

/// Says of each of `n` things that is not there exactly once.
void check_each_once(const std::map<std::int64_t, int>& seen, std::size_t n,
                     std::string_view what, problem_list& out) {
  for (std::size_t i = 0; i < n; ++i) {
    auto found = seen.find(static_cast<std::int64_t>(i));
    auto times = found == seen.end() ? 0 : found->second;
    if (times != 1)
      out.push_back(fmt::format("{} {} is there {} times", what, i, times));
  }
  for (const auto& entry : seen)
    if (entry.first < 0 || static_cast<std::size_t>(entry.first) >= n)
      out.push_back(fmt::format("there is no {} {}", what, entry.first));
}

/// The ranks that take part in one wave.
class busy_ranks {
public:
  busy_ranks(std::size_t wave, problem_list& out) : wave_(wave), out_(out) {
    // nop
  }

  /// `members` may name a rank twice: it is one rank.
  void add(const std::set<std::int64_t>& members) {
    for (auto rank : members)
      if (!ranks_.insert(rank).second)
        out_.push_back(fmt::format("wave {} needs rank {} twice", wave_, rank));
  }

private:
  std::size_t wave_;
  problem_list& out_;
  std::set<std::int64_t> ranks_;
};

} // namespace

std::optional<problem_list> judge_refusal(const json& out) {
  if (!out.is_object() || !out.contains("error"))
    return std::nullopt;
  if (read_or<std::string>(out.at("error"), "msg", "").empty())
    return problem_list{"refused without a reason"};
  return problem_list{};
}

problem_list sched_problems(const json& in, const json& out) {
  if (auto refused = judge_refusal(out))
    return *refused;
  problem_list wrong;
  auto tasks = read<std::vector<std::set<std::int64_t>>>(in, "tasks");
  auto waves = read<std::vector<numbers>>(out, "waves");
  std::map<std::int64_t, int> seen;
  for (std::size_t w = 0; w < waves.size(); ++w) {
    if (waves[w].empty())
      wrong.push_back(fmt::format("wave {} is empty", w));
    busy_ranks busy{w, wrong};
    for (auto task : waves[w]) {
      ++seen[task];
      if (task >= 0 && static_cast<std::size_t>(task) < tasks.size())
        busy.add(tasks[static_cast<std::size_t>(task)]);
    }
  }
  check_each_once(seen, tasks.size(), "task", wrong);
  return wrong;
}

problem_list split_groups_problems(const json& in, const json& out) {
  if (auto refused = judge_refusal(out))
    return *refused;
  problem_list wrong;
  std::map<std::int64_t, std::set<std::int64_t>> members;
  for (const auto& [sender, receivers] :
       read<std::vector<std::pair<std::int64_t, numbers>>>(in, "send_recv")) {
    auto& ranks = members[sender];
    ranks.insert(sender);
    ranks.insert(receivers.begin(), receivers.end());
  }
  auto waves = read<std::vector<numbers>>(out, "groups");
  numbers sent;
  for (std::size_t w = 0; w < waves.size(); ++w) {
    if (waves[w].empty())
      wrong.push_back(fmt::format("wave {} is empty", w));
    busy_ranks busy{w, wrong};
    for (auto sender : waves[w]) {
      sent.push_back(sender);
      busy.add(members[sender]);
    }
  }
  auto asked = read<numbers>(in, "order");
  std::sort(asked.begin(), asked.end());
  std::sort(sent.begin(), sent.end());
  if (asked != sent)
    wrong.push_back(fmt::format("{} senders are asked for and {} send, or "
                                "others than those",
                                asked.size(), sent.size()));
  return wrong;
}

problem_list ports_problems(const json& in, const json& out) {
  if (auto refused = judge_refusal(out))
    return *refused;
  problem_list wrong;
  auto custom = read<numbers>(in, "custom_ports");
  auto usable = read<numbers>(out, "usable");
  auto at = custom.begin();
  std::map<std::int64_t, int> count;
  for (auto port : usable) {
    ++count[port];
    at = std::find(at, custom.end(), port);
    if (at == custom.end()) {
      wrong.push_back(fmt::format("port {} is not given, or not there", port));
      break;
    }
    ++at;
  }
  auto asks = read<numbers>(in, "asks");
  const auto& given = out.at("given");
  if (given.size() != asks.size())
    wrong.push_back(
      fmt::format("{} answers to {} requests", given.size(), asks.size()));
  // The first two are Ray's.
  auto most = std::max<std::size_t>(usable.size(), 2) - 2;
  std::map<std::int64_t, std::map<std::int64_t, int>> by_node;
  std::map<std::int64_t, std::size_t> total;
  for (std::size_t i = 0; i < std::min(given.size(), asks.size()); ++i) {
    auto node = asks[i];
    if (!given[i].is_number_integer()) {
      if (total[node] < most)
        wrong.push_back(fmt::format("node {} gets no port after {} of {}", node,
                                    total[node], most));
      continue;
    }
    auto port = given[i].get<std::int64_t>();
    ++total[node];
    // A port that the user lists twice may be given twice.
    if (++by_node[node][port] > count[port])
      wrong.push_back(
        fmt::format("node {} gets port {} too often", node, port));
  }
  return wrong;
}

problem_list lbrank_problems(const json& in, const json& out) {
  if (auto refused = judge_refusal(out))
    return *refused;
  problem_list wrong;
  std::map<std::int64_t, std::int64_t> gpu;
  for (const char* side : {"src", "dst"})
    for (const auto& [rank, value] : in.at("gpu").at(side).items())
      gpu[std::stoll(rank)] = value.get<std::int64_t>();
  auto ratio = read<std::int64_t>(in, "tp_map");
  auto groups = read<std::vector<numbers>>(in, "dst_groups");
  using call = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::size_t,
                          bool>;
  auto calls = read<std::vector<call>>(in, "calls");
  const auto& results = out.at("results");
  std::map<std::set<std::int64_t>, std::map<std::int64_t, int>> all_hits;
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (i >= calls.size())
      return {"more choices than calls"};
    if (auto refused = judge_refusal(results[i])) {
      wrong.insert(wrong.end(), refused->begin(), refused->end());
      return wrong;
    }
    const auto& [position, start, source, group, may_wait] = calls[i];
    std::set<std::int64_t> candidates;
    const auto& ranks = groups.at(group);
    for (auto n = position * ratio; n < (position + 1) * ratio; ++n)
      candidates.insert(ranks.at(static_cast<std::size_t>(n)));
    std::set<std::int64_t> legal;
    for (auto rank : candidates)
      if (gpu[rank] != gpu[source])
        legal.insert(rank);
    auto collides = legal.size() < candidates.size();
    if (results[i].at(1).get<bool>() != collides)
      wrong.push_back(fmt::format("call {}: rank {} {} with a candidate", i,
                                  source,
                                  collides ? "collides"
                                           : "does not "
                                             "collide"));
    auto waits = may_wait && !collides;
    if (results[i].at(0).is_null() != waits) {
      wrong.push_back(fmt::format("call {}: rank {} must {}", i, source,
                                  waits ? "wait" : "be served"));
      continue;
    }
    if (waits)
      continue;
    auto choice = results[i].at(0).get<std::int64_t>();
    auto& hits = all_hits[candidates];
    if (legal.count(choice) == 0)
      wrong.push_back(fmt::format("call {}: rank {} is no candidate, or on the "
                                  "GPU of rank {}",
                                  i, choice, source));
    for (auto other : legal)
      if (hits[other] < hits[choice])
        wrong.push_back(fmt::format("call {}: rank {} has more hits than {}", i,
                                    choice, other));
    ++hits[choice];
  }
  if (results.size() < calls.size())
    wrong.push_back(
      fmt::format("{} choices for {} calls", results.size(), calls.size()));
  return wrong;
}

problem_list bucket_problems(const json& in, const json& out) {
  if (auto refused = judge_refusal(out))
    return *refused;
  using entry = std::tuple<std::string, std::int64_t, std::int64_t, int>;
  auto tensors = read<std::vector<entry>>(in, "tensors");
  auto limit = planner::times(read<std::int64_t>(in, "bucket_mb"), 1024 * 1024);
  problem_list wrong;
  std::map<std::int64_t, int> seen;
  // The tensor, if there is one of that number.
  auto take = [&](std::int64_t i, bool sparse) -> const entry* {
    ++seen[i];
    if (i < 0 || static_cast<std::size_t>(i) >= tensors.size())
      return nullptr;
    const auto& x = tensors[static_cast<std::size_t>(i)];
    if ((std::get<3>(x) != 0) != sparse)
      wrong.push_back(
        fmt::format("tensor {} is {}sparse", i, sparse ? "not " : ""));
    return &x;
  };
  // Pairs of a tensor and its elements; -1: as many as it has.
  auto check_dense =
    [&](const std::vector<std::pair<std::int64_t, std::int64_t>>& bucket) {
      std::set<std::string> types;
      std::int64_t bytes = 0;
      for (const auto& [i, elements] : bucket)
        if (const auto* x = take(i, false)) {
          types.insert(std::get<0>(*x));
          auto numel = elements < 0 ? std::get<1>(*x) : elements;
          bytes = planner::plus(bytes, planner::times(numel, std::get<2>(*x)));
        }
      if (types.size() > 1)
        wrong.push_back("a bucket of several types");
      if (limit > 0 && bucket.size() > 1 && bytes > limit)
        wrong.push_back(
          fmt::format("a bucket of {} bytes with a limit of {}", bytes, limit));
    };
  std::vector<std::pair<std::int64_t, std::int64_t>> bucket;
  if (auto yield = out.find("yield"); yield != out.end()) {
    for (const auto& x : *yield) {
      if (x.is_object()) {
        take(read<std::int64_t>(x, "sparse"), true);
        continue;
      }
      bucket.clear();
      for (const auto& slot : x)
        bucket.emplace_back(slot.at(0).get<std::int64_t>(),
                            slot.at(1).get<std::int64_t>());
      check_dense(bucket);
    }
  } else {
    for (auto i : read<numbers>(out, "sparse"))
      take(i, true);
    for (const auto& list : read<std::vector<numbers>>(out, "dense")) {
      bucket.clear();
      for (auto i : list)
        bucket.emplace_back(i, -1);
      check_dense(bucket);
    }
  }
  check_each_once(seen, tensors.size(), "tensor", wrong);
  return wrong;
}

} // namespace troupe::golden
