// SPDX-License-Identifier: Apache-2.0
#include <set>

#include <fmt/format.h>

#include "troupe/apps/golden_check/soundness.hpp"
#include "troupe/planner/saturate.hpp"

namespace troupe::golden {

namespace {

std::int64_t whole(const json& x, const char* key, std::int64_t otherwise) {
  auto found = x.find(key);
  return found != x.end() && found->is_number_integer()
           ? found->get<std::int64_t>()
           : otherwise;
}

void check_model(const std::string& name, const json& in, const json& out,
                 std::int64_t samples, problem_list& wrong) {
  auto add = [&](std::string text) {
    wrong.push_back(fmt::format("{}: {}", name, text));
  };
  const auto& module = out.at("module");
  for (const char* key :
       {"num_replica", "tensor_model_parallel_size",
        "pipeline_model_parallel_size", "expert_model_parallel_size",
        "zero_size", "fsdp_size"})
    if (read<std::int64_t>(out, key) < 1)
      add(fmt::format("{} is below 1", key));
  auto gpus = whole(in, "num_gpu", 0);
  if (gpus == 0)
    gpus = whole(in, "num_device", 0);
  auto replicas = read<std::int64_t>(module, "num_replica");
  auto each = read<std::int64_t>(module, "num_gpu_per_replica");
  if (replicas < 1)
    add("the module has no replica");
  if (gpus > 0) {
    if (planner::times(replicas, each) != gpus)
      add(fmt::format("{} replicas of {} GPUs on {}", replicas, each, gpus));
    auto ranks = planner::
      times(planner::times(read<std::int64_t>(out,
                                              "tensor_model_parallel_size"),
                           read<std::int64_t>(out,
                                              "pipeline_model_parallel_size")),
            read<std::int64_t>(out, "expert_model_parallel_size"));
    if (ranks < 1 || each % ranks != 0)
      add(fmt::format("{} ranks do not divide a replica of {} GPUs", ranks,
                      each));
  }
  for (const char* key : {"gpu_per_process", "cpu_per_process"})
    if (read_or<std::int64_t>(out, key, 1) < 1)
      add(fmt::format("{} is below 1", key));
  auto batch = read<std::int64_t>(out, "generation_batch_size");
  if (batch != -1
      && (batch < 1
          || planner::times(read<std::int64_t>(out, "num_replica"), batch)
               > samples))
    add(fmt::format("batches of {} do not fit in {} samples", batch, samples));
}

} // namespace

problem_list config_problems(const json& in, const json& out) {
  if (auto refused = judge_refusal(out))
    return *refused;
  problem_list wrong;
  auto runtime = read_or<json>(in, "runtime", json::object());
  auto samples = whole(runtime, "sample_per_episode", 1000);
  const auto& derived = out.at("runtime");
  auto batch = read<std::int64_t>(derived, "train_global_batch_size");
  auto micro = whole(runtime, "train_micro_batch_size", 2);
  if (batch < 1 || batch > samples || micro < 1 || batch % micro != 0)
    wrong.push_back(fmt::format("a training batch of {} from micro-batches of "
                                "{} and {} samples",
                                batch, micro, samples));
  std::set<std::string> colocated;
  for (const auto& group : derived.at("colocation"))
    for (const auto& name : group)
      if (!colocated.insert(name.get<std::string>()).second)
        wrong.push_back(fmt::format("{} is colocated twice", name.dump()));
  const auto& models = in.at("models");
  const auto& answers = out.at("models");
  if (answers.size() != models.size())
    wrong.push_back(fmt::format("{} of {} models are derived", answers.size(),
                                models.size()));
  for (const auto& model : models) {
    auto name = read<std::string>(model, "name");
    if (auto found = answers.find(name); found != answers.end())
      check_model(name, model, *found, samples, wrong);
    else
      wrong.push_back(fmt::format("{} is not derived", name));
  }
  return wrong;
}

} // namespace troupe::golden
