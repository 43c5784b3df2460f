// SPDX-License-Identifier: Apache-2.0
// The sets of one function each: lbrank, sched, split_groups, ports, bucket.
#include <tuple>

#include "troupe/apps/golden_check/soundness.hpp"
#include "troupe/planner/chatlearn/bucket.hpp"
#include "troupe/planner/chatlearn/candidates.hpp"
#include "troupe/planner/chatlearn/ports.hpp"
#include "troupe/planner/chatlearn/schedule.hpp"

namespace troupe::golden {

namespace {

namespace chatlearn = planner::chatlearn;

using chatlearn::ranks;

/// GPUs of ranks as a table; ranks the case does not name have none.
std::vector<std::int64_t> read_gpu_table(const json& gpu,
                                         const char* const (&sides)[2]) {
  std::vector<std::int64_t> out;
  for (const auto* side : sides)
    for (const auto& [key, value] : gpu.at(side).items()) {
      auto rank = std::stoul(key);
      if (rank > 1'000'000)
        throw bad_case{"a rank is out of range"};
      if (out.size() <= rank)
        out.resize(rank + 1, -1);
      out[rank] = value.get<std::int64_t>();
    }
  return out;
}

json solve_lbrank(const json& in) {
  auto gpus = read_gpu_table(in.at("gpu"), {"src", "dst"});
  auto groups = read<std::vector<ranks>>(in, "dst_groups");
  for (const auto& group : groups)
    for (auto rank : group)
      if (rank < 0 || static_cast<std::size_t>(rank) >= gpus.size())
        throw bad_case{"a rank has no GPU"};
  chatlearn::candidate_table table{gpus, read<std::int64_t>(in, "tp_map")};
  using call = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::size_t,
                          bool>;
  auto results = json::array();
  for (const auto& [position, start, source, group, pre_allocate] :
       read<std::vector<call>>(in, "calls")) {
    if (group >= groups.size() || source < 0
        || static_cast<std::size_t>(source) >= gpus.size())
      throw bad_case{"a call names something that does not exist"};
    auto choice = table.pick(position, start, source, groups[group],
                             pre_allocate);
    if (!choice) {
      results.push_back(to_json(choice.error()));
      break;
    }
    results.push_back(
      {choice->rank ? json(*choice->rank) : json{}, choice->collided});
  }
  return {{"results", results}};
}

json solve_sched(const json& in) {
  return {{"waves",
           chatlearn::schedule_rounds(read<std::vector<ranks>>(in, "tasks"))}};
}

json solve_split_groups(const json& in) {
  auto waves = chatlearn::
    split_sync_groups(read<ranks>(in, "order"),
                      read<chatlearn::send_table>(in, "send_recv"));
  if (!waves)
    return to_json(waves.error());
  return {{"groups", *waves}};
}

json solve_ports(const json& in) {
  auto usable = chatlearn::usable_ports(
    read<std::vector<std::int64_t>>(in, "custom_ports"));
  chatlearn::port_book book{usable};
  auto given = json::array();
  for (auto node : read<std::vector<std::int64_t>>(in, "asks")) {
    auto port = book.next(node);
    given.push_back(port ? json(*port) : json("assert"));
  }
  return {{"usable", usable}, {"given", given}};
}

std::vector<chatlearn::bucket_tensor> read_tensors(const json& in,
                                                   bool count_multiples) {
  using entry = std::tuple<std::string, std::int64_t, std::int64_t, int>;
  auto multiples = read_or<std::vector<std::int64_t>>(in, "multiples", {});
  std::vector<chatlearn::bucket_tensor> out;
  for (const auto& [type, numel, element_size, sparse] :
       read<std::vector<entry>>(in, "tensors")) {
    auto multiple = count_multiples && out.size() < multiples.size()
                      ? multiples[out.size()]
                      : 1;
    out.push_back({type, numel, element_size, sparse != 0, multiple});
  }
  return out;
}

json solve_bucket(const json& in) {
  auto flat = in.contains("stage2");
  // Stage 2 sends slices: a receiver's buffer is as large as its tensor.
  auto tensors = read_tensors(in, flat && !read<bool>(in, "stage2"));
  auto buckets = chatlearn::cut_buckets(tensors,
                                        read<std::int64_t>(in, "bucket_mb"));
  if (!flat) {
    json out{{"dense", json::array()}, {"sparse", json::array()}};
    for (const auto& bucket : buckets)
      if (bucket.sparse)
        out["sparse"].push_back(bucket.tensors.front());
      else
        out["dense"].push_back(bucket.tensors);
    return out;
  }
  auto yield = json::array();
  for (const auto& bucket : buckets) {
    if (bucket.sparse) {
      yield.push_back({{"sparse", bucket.tensors.front()}});
      continue;
    }
    auto list = json::array();
    for (auto i : bucket.tensors) {
      const auto& x = tensors[static_cast<std::size_t>(i)];
      list.push_back({i, x.numel * x.multiple, x.multiple});
    }
    yield.push_back(std::move(list));
  }
  return {{"yield", yield}};
}

} // namespace

case_set lbrank_set() {
  return {"lbrank", solve_lbrank, {}, [](const json& in) {
            return lbrank_problems(in, solve_lbrank(in));
          }};
}

case_set sched_set() {
  return {"sched", solve_sched, {}, [](const json& in) {
            return sched_problems(in, solve_sched(in));
          }};
}

case_set split_groups_set() {
  return {"split_groups", solve_split_groups, {}, [](const json& in) {
            return split_groups_problems(in, solve_split_groups(in));
          }};
}

case_set ports_set() {
  return {"ports", solve_ports, {}, [](const json& in) {
            return ports_problems(in, solve_ports(in));
          }};
}

case_set bucket_set() {
  return {"bucket", solve_bucket, {}, [](const json& in) {
            return bucket_problems(in, solve_bucket(in));
          }};
}

} // namespace troupe::golden
