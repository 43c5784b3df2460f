// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/golden_check/case_set.hpp"
#include "troupe/apps/golden_check/rankmap_case.hpp"
#include "troupe/planner/chatlearn/rank_map.hpp"

namespace troupe::golden {

namespace {

namespace chatlearn = planner::chatlearn;

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
  auto request = read_sync_request(in);
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
  auto request = read_sync_request(in);
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
