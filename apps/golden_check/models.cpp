// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/golden_check/models.hpp"

#include "troupe/planner/placement.hpp"
#include "troupe/planner/saturate.hpp"

namespace troupe::golden {

namespace {

const json& list_of_models(const json& in) {
  auto found = in.find("models");
  if (found == in.end() || !found->is_array())
    throw bad_case{"there is no list models"};
  return *found;
}

bool is_cpu(const json& x) {
  return read<std::int64_t>(x, "total_gpu") == 0;
}

/// No case is larger than this.
constexpr std::int64_t max_size = std::int64_t{1} << 24;

std::int32_t narrow(std::int64_t x) {
  if (x < 0 || x > max_size)
    throw bad_case{"a size is out of range"};
  return static_cast<std::int32_t>(x);
}

} // namespace

std::vector<planner::chatlearn::local_model> read_local_models(const json& in) {
  std::vector<planner::chatlearn::local_model> out;
  for (const auto& x : list_of_models(in)) {
    auto& model = out.emplace_back();
    model.name = read<std::string>(x, "name");
    model.total_gpu = read<std::int64_t>(x, "total_gpu");
    model.trainable = read<bool>(x, "trainable");
    model.num_replica = narrow(read_or<std::int64_t>(x, "num_replica", 1));
    model.num_gpu_per_replica = read_or<std::int64_t>(x, "num_gpu_per_replica",
                                                      0);
    model.gpu_per_process = read_or<std::int64_t>(x, "gpu_per_process", 1);
    model.cpu_per_process = read_or<std::int64_t>(x, "cpu_per_process", 1);
    model.has_engine = read_or<std::string>(x, "kind", "torch") == "vllm";
  }
  return out;
}

std::vector<planner::model_spec> read_model_specs(const json& in) {
  std::vector<planner::model_spec> out;
  for (const auto& x : list_of_models(in)) {
    auto& model = out.emplace_back();
    model.name = read<std::string>(x, "name");
    model.num_gpu = narrow(read<std::int64_t>(x, "total_gpu"));
    model.trainable = read<bool>(x, "trainable");
    model.num_replica = narrow(read_or<std::int64_t>(x, "num_replica", 1));
    model.gpu_per_process = narrow(
      read_or<std::int64_t>(x, "gpu_per_process", 1));
    if (!is_cpu(x))
      continue;
    model.cpu_per_process = narrow(
      read_or<std::int64_t>(x, "cpu_per_process", 1));
    model.num_cpu = narrow(read_or<std::int64_t>(x, "total_cpu",
                                                 std::int64_t{model.num_replica}
                                                   * model.cpu_per_process));
  }
  return out;
}

planner::chatlearn::machines read_machines(const json& in) {
  planner::chatlearn::machines out;
  out.num_node = read<std::int64_t>(in, "nnode");
  out.gpu_per_node = read<std::int64_t>(in, "gpu_per_node");
  out.cpu_per_node = read_or<std::int64_t>(in, "cpu_per_node", 0);
  if (out.num_node < 0 || out.gpu_per_node < 0
      || planner::times(out.num_node, out.gpu_per_node) > max_size)
    throw bad_case{"a size of the cluster is out of range"};
  return out;
}

std::vector<planner::chatlearn::sync_names> read_syncs(const json& in) {
  return read_or<std::vector<planner::chatlearn::sync_names>>(in, "sync", {});
}

std::vector<std::string>
own_plan_problems(const json& in,
                  const std::vector<std::vector<std::string>>& colocation) {
  planner::job_spec job;
  job.models = read_model_specs(in);
  job.colocation = colocation;
  for (const auto& [source, destination] : read_syncs(in))
    job.syncs.push_back({source, destination, 1});
  auto size = read_machines(in);
  auto machines = planner::cluster::uniform(narrow(size.num_node),
                                            narrow(size.gpu_per_node));
  auto plan = planner::place(job, machines);
  if (plan)
    return planner::verify(*plan, job, machines);
  if (plan.error().message().empty())
    return {"refused without a reason"};
  return {};
}

} // namespace troupe::golden
