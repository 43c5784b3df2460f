// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/golden_check/soundness.hpp"
#include "troupe/planner/chatlearn/config.hpp"

namespace troupe::golden {

namespace {

namespace chatlearn = planner::chatlearn;

chatlearn::option to_option(const json& x) {
  chatlearn::option out;
  if (x.is_boolean())
    out.value = x.get<bool>();
  else if (x.is_number_integer())
    out.value = x.get<std::int64_t>();
  else if (x.is_number())
    out.value = x.get<double>();
  else if (x.is_string())
    out.value = x.get<std::string>();
  else if (x.is_array()) {
    std::vector<chatlearn::option> list;
    for (const auto& entry : x)
      list.push_back(to_option(entry));
    out.value = std::move(list);
  }
  return out;
}

chatlearn::option_map to_options(const json& x) {
  chatlearn::option_map out;
  for (const auto& [key, value] : x.items())
    out.emplace(key, to_option(value));
  return out;
}

template <class T>
json or_null(const std::optional<T>& x) {
  return x ? json(*x) : json{};
}

json solve(const json& in) {
  std::vector<chatlearn::model_options> models;
  auto list = in.find("models");
  if (list == in.end() || !list->is_array())
    throw bad_case{"there is no list models"};
  for (const auto& x : *list) {
    auto& model = models.emplace_back();
    model.name = read<std::string>(x, "name");
    model.fields = to_options(x);
    model.fields.erase("name");
    model.fields.erase("args");
    if (auto args = x.find("args"); args != x.end())
      model.args = to_options(*args);
  }
  auto config = chatlearn::derive_config(models,
                                         to_options(
                                           read_or<json>(in, "runtime",
                                                         json::object())));
  if (!config)
    return to_json(config.error());
  json out{{"runtime",
            {{"train_global_batch_size", config->train_global_batch_size},
             {"colocation", config->colocation},
             {"output_dir", config->output_dir}}},
           {"models", json::object()}};
  for (const auto& x : config->models)
    out["models"][x.name] = {
      {"num_replica", x.num_replica},
      {"gpu_per_process", or_null(x.gpu_per_process)},
      {"cpu_per_process", or_null(x.cpu_per_process)},
      {"generation_batch_size", x.generation_batch_size},
      {"tensor_model_parallel_size", x.tensor},
      {"pipeline_model_parallel_size", x.pipeline},
      {"expert_model_parallel_size", x.expert},
      {"zero_size", x.zero},
      {"fsdp_size", x.fsdp},
      {"offload_weights", x.offload_weights},
      {"free_grad_buffers", x.free_grad_buffers},
      {"offload_optimizer_states", x.offload_optimizer_states},
      {"module",
       {{"num_replica", x.module_num_replica},
        {"num_gpu_per_replica", x.module_num_gpu_per_replica}}},
    };
  return out;
}

} // namespace

case_set config_set() {
  return {"config", solve, {}, [](const json& in) {
            return config_problems(in, solve(in));
          }};
}

} // namespace troupe::golden
