// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/config/profile_section.hpp"

#include <fmt/format.h>

#include "troupe/actors/config/section.hpp"

namespace troupe::config {

namespace {

/// Far beyond any model, far from overflowing.
constexpr std::int64_t max_parameters = std::int64_t{1} << 50;
constexpr std::int64_t max_layers = 1'000'000;
constexpr std::int64_t max_tokens = std::int64_t{1} << 31;
constexpr std::int64_t max_sequences = 1'000'000;

void read_dtype(section& keys, std::string_view key, dtype& target) {
  std::string name{to_string(target)};
  keys.choice(key, name, {"bfloat16", "float16", "float32"});
  // `choice` lets through what is known alone.
  (void) from_string(name, target);
}

void read_role(section& keys, planner::model_role& role) {
  std::string name{role == planner::model_role::train ? "train" : "score"};
  keys.choice("role", name, {"generate", "score", "train"});
  role = name == "generate" ? planner::model_role::generate
         : name == "train"  ? planner::model_role::train
                            : planner::model_role::score;
}

void read_training(section& keys, planner::model_profile& settings) {
  std::string optimizer{"adam"};
  keys.choice("optimizer", optimizer, {"adam", "sgd", "none"});
  settings.optimizer = optimizer == "adam"  ? planner::optimizer_kind::adam
                       : optimizer == "sgd" ? planner::optimizer_kind::sgd
                                            : planner::optimizer_kind::none;
  keys.flag("distributed_optimizer", settings.distributed_optimizer);
  std::string recompute{"selective"};
  keys.choice("recompute", recompute, {"none", "selective", "full"});
  settings.recompute = recompute == "none" ? planner::recompute_policy::none
                       : recompute == "full"
                         ? planner::recompute_policy::full
                         : planner::recompute_policy::selective;
}

} // namespace

profile_config read_profile(const yaml_node& node, int line,
                            const std::string& model, bool trainable,
                            problem_list& problems) {
  profile_config out;
  auto& settings = out.settings;
  section keys{&node,
               line,
               fmt::format("models.{}.profile", model),
               {},
               problems};
  auto counted = keys.integer("num_parameters", out.num_parameters, 1,
                              max_parameters);
  auto has_layers = keys.integer("num_layers", out.num_layers, 1, max_layers);
  auto described = keys.text("hf_config", out.hf_config);
  if (counted && described)
    keys.complain("hf_config",
                  "stands beside num_parameters; give one of them");
  else if (has_layers && described)
    keys.complain("num_layers", "follows from hf_config; remove it");
  else if (described && out.hf_config.empty())
    keys.complain("hf_config", "must name a file");
  settings.role = trainable ? planner::model_role::train
                            : planner::model_role::score;
  read_role(keys, settings.role);
  std::string order{
    settings.role == planner::model_role::generate ? "vllm" : "megatron"};
  keys.choice("rank_order", order, {"megatron", "vllm"});
  settings.order = order == "vllm" ? planner::rank_order::vllm
                                   : planner::rank_order::megatron;
  read_dtype(keys, "weights_dtype", settings.weights);
  read_dtype(keys, "gradients_dtype", settings.gradients);
  read_dtype(keys, "kv_cache_dtype", settings.kv_cache);
  read_training(keys, settings);
  keys.flag("offload", settings.offload);
  keys.integer("micro_batch_size", settings.micro_batch, 1, max_sequences);
  settings.sequence_tokens = 0;
  keys.integer("sequence_length", settings.sequence_tokens, 1, max_tokens);
  keys.integer("concurrent_sequences", settings.concurrent_sequences, 1,
               max_sequences);
  keys.finish();
  if (keys.sound() && !counted && !described)
    keys.complain("", "says nothing of the model's size; give num_parameters "
                      "or hf_config");
  return out;
}

planner::workload read_workload(const yaml_node* node, int line,
                                problem_list& problems) {
  planner::workload out;
  out.samples = 0;
  out.train_batch = 0;
  section keys{node, line, "workload", {}, problems};
  keys.integer("samples", out.samples, 1, max_tokens);
  keys.integer("prompt_tokens", out.prompt_tokens, 1, max_tokens);
  keys.integer("response_tokens", out.response_tokens, 1, max_tokens);
  keys.integer("train_batch", out.train_batch, 1, max_tokens);
  keys.integer("epochs", out.epochs, 1, max_sequences);
  keys.integer("batches", out.batches, 1, max_sequences);
  keys.finish();
  return out;
}

} // namespace troupe::config
