// SPDX-License-Identifier: Apache-2.0
#include <map>

#include "troupe/apps/golden_check/case_set.hpp"
#include "troupe/planner/chatlearn/rank_map.hpp"

namespace troupe::golden {

namespace {

namespace chatlearn = planner::chatlearn;

/// Numbers the GPUs that a case names by [node, gpu].
class gpu_numbers {
public:
  std::vector<std::int64_t> read_gpus(const json& in) {
    using gpu_name = std::pair<std::int64_t, std::int64_t>;
    std::vector<std::int64_t> out;
    for (const auto& x : read<std::vector<gpu_name>>(in, "gpus"))
      out.push_back(
        numbers_.emplace(x, static_cast<std::int64_t>(numbers_.size()))
          .first->second);
    return out;
  }

private:
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> numbers_;
};

bool is_fsdp(const json& in) {
  return read<std::string>(in, "variant") == "fsdp";
}

chatlearn::sync_request read_request(const json& in) {
  chatlearn::sync_request out;
  if (read<std::string>(in, "variant") == "hep")
    out.variant = chatlearn::sync_variant::hep;
  if (read_or<std::string>(in, "comm", "broadcast") == "p2p")
    out.comm = chatlearn::sync_comm::p2p;
  if (read_or<std::string>(in, "regroup_comm", "alltoall") == "allgather")
    out.regroup = chatlearn::regroup_comm::allgather;
  out.colocated = read<bool>(in, "colocated");
  gpu_numbers gpus;
  const auto& src = in.at("src");
  out.source.tensor = read<std::int64_t>(src, "tp");
  out.source.pipeline = read<std::int64_t>(src, "pp");
  out.source.expert = read<std::int64_t>(src, "ep");
  out.source.gpu = gpus.read_gpus(src);
  auto num_rank = out.source.gpu.size();
  if (!is_fsdp(in)) {
    out.source.dp_size = read<std::int64_t>(src, "dp_size");
    out.source.dp_rank = read<std::vector<std::int64_t>>(src, "dp_rank");
    out.source.data_index.assign(num_rank, 0);
    using owner = std::pair<std::int64_t, std::int64_t>;
    for (const auto& [rank, index] :
         read<std::vector<owner>>(src, "param_owner"))
      out.source.data_index.at(static_cast<std::size_t>(rank)) = index;
  }
  const auto& dst = in.at("dst");
  out.destination.tensor = read<std::int64_t>(dst, "tp");
  out.destination.pipeline = read<std::int64_t>(dst, "pp");
  out.destination.expert = read<std::int64_t>(dst, "ep");
  out.destination.is_vllm = read_or<std::string>(dst, "backend", "megatron")
                            == "vllm";
  out.destination
    .replica_sizes = read<std::vector<std::int64_t>>(dst, "replica_sizes");
  out.destination.gpu = gpus.read_gpus(dst);
  return out;
}

json solve_fsdp(const chatlearn::sync_request& request) {
  auto pairs = chatlearn::map_fsdp_ranks(request);
  if (!pairs)
    return to_json(pairs.error());
  auto same = json::array();
  bool all_same = true;
  for (const auto& [from, to] : *pairs) {
    auto own = static_cast<std::size_t>(to) - request.source.gpu.size();
    auto equal = request.source.gpu[static_cast<std::size_t>(from)]
                 == request.destination.gpu[own];
    same.push_back(equal);
    all_same = all_same && equal;
  }
  return {{"pairs", *pairs}, {"same_gpu", same}, {"all_same_gpu", all_same}};
}

/// Names of groups are not compared.
json without_names(json out) {
  if (auto groups = out.find("groups"); groups != out.end())
    for (auto& x : *groups)
      x = x.at(1);
  return out;
}

json solve(const json& in) {
  auto request = read_request(in);
  if (is_fsdp(in))
    return solve_fsdp(request);
  auto plan = chatlearn::map_ranks(request);
  if (!plan)
    return to_json(plan.error());
  auto hep = request.variant == chatlearn::sync_variant::hep;
  json out{
    {"comm", plan->comm == chatlearn::sync_comm::p2p ? "p2p" : "broadcast"},
    {"regroup_comm", plan->regroup == chatlearn::regroup_comm::alltoall
                       ? "alltoall"
                       : "allgather"},
    {"tp_map", plan->tp_map},
    {"src_dp_ranks", plan->src_dp_ranks},
    {"src_dp_ranks_dense", plan->src_dp_ranks_dense},
    {"stage1", plan->stage1},
    {"send_recv", plan->send_recv},
    {"send_recv2", plan->send_recv2},
    {"regroup", plan->regroup_groups ? json(*plan->regroup_groups) : json{}},
    {"groups", plan->groups},
  };
  if (plan->stage2)
    out["stage2"] = *plan->stage2;
  if (hep) {
    out["ep_map"] = plan->ep_map;
    out["hep_map"] = plan->hep_map;
    out["routed"] = plan->routed;
    out["send_recv_routed"] = plan->send_recv_routed;
  }
  if (plan->send_order) {
    out[plan->stage2 ? "send_order_routed"
                     : "send_order_all"] = *plan->send_order;
    out[plan->stage2 ? "send_waves_routed" : "send_waves_all"] = plan
                                                                   ->send_waves;
  }
  if (plan->warmup)
    out["warmup_waves"] = *plan->warmup;
  return out;
}

std::vector<std::string> problems(const json& in) {
  auto request = read_request(in);
  if (is_fsdp(in)) {
    auto pairs = chatlearn::map_fsdp_ranks(request);
    if (!pairs || solve_fsdp(request)["all_same_gpu"] == true)
      return {};
    return {"memory handles are passed between GPUs"};
  }
  auto plan = chatlearn::map_ranks(request);
  if (plan)
    return chatlearn::verify(*plan, request);
  if (plan.error().message.empty())
    return {"refused without a reason"};
  return {};
}

} // namespace

case_set rankmap_set() {
  return {"rankmap", solve, {"max_workers"}, problems, without_names};
}

} // namespace troupe::golden
