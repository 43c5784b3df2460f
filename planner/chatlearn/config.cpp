// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/chatlearn/config.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "troupe/planner/saturate.hpp"

namespace troupe::planner::chatlearn {

namespace {

using complaint = std::optional<refusal>;

refusal assertion(std::string text) {
  return {refusal_kind::assertion, std::move(text)};
}

enum class option_type : std::uint8_t { boolean, integer, number, text };

struct typed_key {
  std::string_view key;
  option_type type;
};

/// Keys whose default has a type that the value must have, too.
constexpr std::array<typed_key, 14> model_keys{{
  {"num_gpu", option_type::integer},
  {"num_device", option_type::integer},
  {"num_cpu", option_type::integer},
  {"trainable", option_type::boolean},
  {"tensor_model_parallel_size", option_type::integer},
  {"pipeline_model_parallel_size", option_type::integer},
  {"zero_size", option_type::integer},
  {"fsdp_size", option_type::integer},
  {"model_config_file", option_type::text},
  {"sync_frequency", option_type::integer},
  {"offload_weights", option_type::boolean},
  {"free_memory", option_type::boolean},
  {"free_grad_buffers", option_type::boolean},
  {"offload_optimizer_states", option_type::boolean},
}};

constexpr std::array<typed_key, 33> runtime_keys{{
  {"num_episode", option_type::integer},
  {"sample_per_episode", option_type::integer},
  {"num_training_epoch", option_type::integer},
  {"generation_batch_size", option_type::integer},
  {"train_micro_batch_size", option_type::integer},
  {"max_iteration_per_sample", option_type::integer},
  {"eval_episode_interval", option_type::integer},
  {"consumed_samples", option_type::integer},
  {"max_relay_episode", option_type::integer},
  {"relay_episode_offset", option_type::integer},
  {"log_interval", option_type::integer},
  {"coalesced_buffer_mb", option_type::integer},
  {"bucket_size_mb_in_memory_manager", option_type::integer},
  {"data_shuffle", option_type::boolean},
  {"data_rerank", option_type::boolean},
  {"enable_eval_before_training", option_type::boolean},
  {"enable_resume_training", option_type::boolean},
  {"concurrent_comm", option_type::boolean},
  {"free_sync_collective_group", option_type::boolean},
  {"validate_param_sync", option_type::boolean},
  {"concurrent_setup", option_type::boolean},
  {"debug", option_type::boolean},
  {"nsys", option_type::boolean},
  {"training_shuffle_mode", option_type::text},
  {"stream_data_loader_type", option_type::text},
  {"param_sync_comm_type", option_type::text},
  {"routed_expert_regrouping_comm_type", option_type::text},
  {"cpu_schedule_strategy", option_type::text},
  {"policy_to_regroup_queue", option_type::text},
  {"exp_name", option_type::text},
  {"output_dir", option_type::text},
  {"log_config_file", option_type::text},
  {"param_sync_dtype", option_type::text},
}};

bool has_type(const option& x, option_type type) {
  switch (type) {
    case option_type::boolean: return std::holds_alternative<bool>(x.value);
    case option_type::integer:
      return std::holds_alternative<std::int64_t>(x.value);
    case option_type::number: return std::holds_alternative<double>(x.value);
    case option_type::text: return std::holds_alternative<std::string>(x.value);
  }
  return false;
}

std::string_view name_of(option_type type) {
  switch (type) {
    case option_type::boolean: return "true or false";
    case option_type::integer: return "an integer";
    case option_type::number: return "a number";
    case option_type::text: return "a text";
  }
  return "unknown";
}

template <std::size_t N>
complaint check_types(std::string_view where, const option_map& options,
                      const std::array<typed_key, N>& keys) {
  for (const auto& [key, type] : keys)
    if (auto found = options.find(std::string{key});
        found != options.end() && !has_type(found->second, type))
      return assertion(
        fmt::format("{}{} must be {}", where, key, name_of(type)));
  return std::nullopt;
}

/// The value of a key, or nothing if it is absent, null or of another type.
template <class T>
std::optional<T> get(const option_map& options, const std::string& key) {
  auto found = options.find(key);
  if (found == options.end())
    return std::nullopt;
  if (const auto* value = std::get_if<T>(&found->second.value))
    return *value;
  return std::nullopt;
}

std::optional<std::int64_t> get_int(const option_map& options,
                                    const std::string& key) {
  return get<std::int64_t>(options, key);
}

bool get_flag(const option_map& options, const std::string& key) {
  return get<bool>(options, key).value_or(false);
}

std::string lower(std::string text) {
  for (auto& c : text)
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c - 'A' + 'a');
  return text;
}

std::string trim(std::string_view text) {
  auto space = [](char c) { return c == ' ' || c == '\t' || c == '\n'; };
  while (!text.empty() && space(text.front()))
    text.remove_prefix(1);
  while (!text.empty() && space(text.back()))
    text.remove_suffix(1);
  return std::string{text};
}

std::vector<std::string> split_names(std::string_view text) {
  std::vector<std::string> out;
  for (;;) {
    auto comma = text.find(',');
    out.push_back(trim(text.substr(0, comma)));
    if (comma == std::string_view::npos)
      return out;
    text.remove_prefix(comma + 1);
  }
}

class deriver {
public:
  deriver(const std::vector<model_options>& models, const option_map& runtime)
    : models_(models),
      runtime_(runtime) {
    // nop
  }

  outcome<derived_config> run() {
    auto bad = check_types("runtime: ", runtime_, runtime_keys);
    if (!bad)
      bad = check_batches();
    if (!bad)
      bad = check_words();
    if (!bad)
      bad = check_data();
    if (!bad)
      bad = derive_colocation();
    derive_output_dir();
    for (const auto& x : models_)
      if (!bad)
        bad = derive(x);
    if (bad)
      return refuse(std::move(*bad));
    return std::move(out_);
  }

private:
  [[nodiscard]] std::int64_t samples() const {
    return get_int(runtime_, "sample_per_episode").value_or(1000);
  }

  complaint check_batches() {
    auto micro = get_int(runtime_, "train_micro_batch_size").value_or(2);
    auto global = get_int(runtime_, "train_global_batch_size").value_or(micro);
    if (micro == 0)
      return refusal{refusal_kind::zero_division,
                     "train_micro_batch_size must not be 0"};
    if (micro < 0 || global % micro != 0)
      return assertion(fmt::format("train_global_batch_size {} must be a "
                                   "multiple of train_micro_batch_size {}",
                                   global, micro));
    if (global > samples())
      return assertion(fmt::format("train_global_batch_size {} must not exceed "
                                   "sample_per_episode {}",
                                   global, samples()));
    out_.train_global_batch_size = global;
    return std::nullopt;
  }

  complaint check_word(const std::string& key,
                       std::initializer_list<std::string_view> allowed,
                       bool any_case = false) const {
    auto word = get<std::string>(runtime_, key);
    if (!word)
      return std::nullopt;
    if (any_case)
      word = lower(*word);
    if (std::find(allowed.begin(), allowed.end(), *word) != allowed.end())
      return std::nullopt;
    std::string list;
    for (auto x : allowed)
      list = list.empty() ? std::string{x} : fmt::format("{} or {}", list, x);
    return assertion(fmt::format("{} must be {}", key, list));
  }

  complaint check_words() const {
    if (runtime_.count("save_interval") > 0)
      return assertion("save_interval is gone; use save_episode_interval");
    if (auto bad = check_word("stream_data_loader_type", {"fixed", "dynamic"},
                              true))
      return bad;
    if (auto bad = check_word("cpu_schedule_strategy", {"SPREAD", "PACK"}))
      return bad;
    if (auto bad = check_word("param_sync_comm_type", {"broadcast", "p2p"}))
      return bad;
    if (auto bad = check_word("routed_expert_regrouping_comm_type",
                              {"alltoall", "allgather"}))
      return bad;
    if (auto bad = check_word("training_shuffle_mode", {"batch", "sample"}))
      return bad;
    return check_word("policy_to_regroup_queue", {"global_barrier"});
  }

  /// How many entries a list, or a text with commas, has; nothing for others.
  [[nodiscard]] std::optional<std::size_t> length(const std::string& key,
                                                  bool texts) const {
    if (auto list = get<std::vector<option>>(runtime_, key))
      return list->size();
    if (auto text = get<std::string>(runtime_, key);
        texts && text && text->find(',') != std::string::npos)
      return split_names(*text).size();
    return std::nullopt;
  }

  complaint check_data() const {
    auto paths = length("data_path", true);
    if (!paths)
      return std::nullopt;
    auto ratios = length("data_ratio", true);
    if (!ratios || *ratios != *paths)
      return assertion(fmt::format("data_path has {} entries, so data_ratio "
                                   "must be a list of as many",
                                   *paths));
    return std::nullopt;
  }

  complaint derive_colocation() {
    auto groups = get<std::vector<option>>(runtime_, "colocation");
    if (!groups)
      return std::nullopt;
    std::set<std::string> seen;
    for (const auto& entry : *groups) {
      const auto* text = std::get_if<std::string>(&entry.value);
      if (text == nullptr)
        return assertion("colocation must be a list of texts, each with names "
                         "separated by commas");
      out_.colocation.push_back(split_names(*text));
      for (const auto& name : out_.colocation.back())
        if (!seen.insert(name).second)
          return assertion(fmt::format("model {} should only appear once in "
                                       "colocation",
                                       name));
    }
    return std::nullopt;
  }

  void derive_output_dir() {
    auto name = get<std::string>(runtime_, "exp_name").value_or("CHATLEARN");
    auto folder = get<std::string>(runtime_, "output_dir").value_or("./");
    out_.output_dir = folder.find(name) == std::string::npos
                        ? fmt::format("{}/{}", folder, name)
                        : folder;
  }

  complaint derive(const model_options& x) {
    auto where = fmt::format("{}: ", x.name);
    if (auto bad = check_types(where, x.fields, model_keys))
      return bad;
    derived_model out;
    out.name = x.name;
    auto num_gpu = get_int(x.fields, "num_gpu").value_or(0);
    if (num_gpu == 0)
      num_gpu = get_int(x.fields, "num_device").value_or(0);
    auto num_cpu = get_int(x.fields, "num_cpu").value_or(0);
    if (num_gpu <= 0 && num_cpu <= 0)
      return assertion(
        fmt::format("{}num_gpu or num_cpu must be positive", where));
    out.gpu_per_process = get_int(x.fields, "gpu_per_process");
    out.cpu_per_process = get_int(x.fields, "cpu_per_process");
    auto& per_process = num_gpu >= 1 ? out.gpu_per_process
                                     : out.cpu_per_process;
    auto most = num_gpu >= 1 ? num_gpu : num_cpu;
    if (!per_process)
      per_process = 1;
    if (*per_process > most)
      return assertion(fmt::format("{}a process cannot have {} of {}", where,
                                   *per_process, most));
    if (*per_process < 1)
      return refusal{refusal_kind::zero_division,
                     fmt::format("{}a process needs at least one", where)};
    if (auto bad = derive_sizes(x, num_gpu, out))
      return bad;
    if (auto bad = derive_replicas(num_gpu, num_cpu, out))
      return bad;
    if (auto bad = derive_batch(x, out))
      return bad;
    auto trainable = get_flag(x.fields, "trainable");
    auto free = get_flag(x.fields, "free_memory");
    out.offload_weights = free || get_flag(x.fields, "offload_weights");
    out.free_grad_buffers = (free && trainable)
                            || get_flag(x.fields, "free_grad_buffers");
    out.offload_optimizer_states = (free && trainable)
                                   || get_flag(x.fields,
                                               "offload_optimizer_states");
    if (trainable && num_gpu >= 1) {
      out.module_num_replica = 1;
      out.module_num_gpu_per_replica = num_gpu;
    }
    out_.models.push_back(std::move(out));
    return std::nullopt;
  }

  static complaint derive_sizes(const model_options& x, std::int64_t num_gpu,
                                derived_model& out) {
    auto size = [&](const std::string& key) {
      auto own = get_int(x.args, key);
      return own ? *own : get_int(x.fields, key).value_or(1);
    };
    out.tensor = size("tensor_model_parallel_size");
    out.pipeline = size("pipeline_model_parallel_size");
    out.zero = size("zero_size");
    auto expert = get_int(x.args, "expert_model_parallel_size");
    auto moe = get_int(x.args, "moe_expert_model_parallel_size");
    if (expert && moe && *expert != *moe)
      return assertion(fmt::format("{}: moe_expert_model_parallel_size ({}) "
                                   "must equal expert_model_parallel_size ({})",
                                   x.name, *moe, *expert));
    out.expert = expert ? *expert : moe.value_or(1);
    out.fsdp = get_int(x.fields, "fsdp_size").value_or(1);
    if (out.fsdp == -1)
      out.fsdp = num_gpu >= 1 ? num_gpu : 1;
    if (out.fsdp < 1 || out.zero < 1)
      return assertion(fmt::format("{}: fsdp_size and zero_size must be at "
                                   "least 1",
                                   x.name));
    for (auto s : {out.tensor, out.pipeline, out.expert})
      if (s < 1)
        return refusal{s == 0 ? refusal_kind::zero_division
                              : refusal_kind::assertion,
                       fmt::format("{}: a parallel size is {}; it must be at "
                                   "least 1",
                                   x.name, s)};
    if (out.tensor == 1 && out.pipeline == 1 && out.expert == 1)
      return std::nullopt;
    if (out.zero != 1 || out.fsdp != 1)
      return assertion(fmt::format("{}: zero_size and fsdp_size must be 1 "
                                   "beside other parallel sizes",
                                   x.name));
    auto product = times(times(out.tensor, out.pipeline), out.expert);
    if (num_gpu % product != 0)
      return assertion(fmt::format("{}: num_gpu {} must be a multiple of "
                                   "tensor {} x pipeline {} x expert {}",
                                   x.name, num_gpu, out.tensor, out.pipeline,
                                   out.expert));
    return std::nullopt;
  }

  static complaint derive_replicas(std::int64_t num_gpu, std::int64_t num_cpu,
                                   derived_model& out) {
    if (num_gpu < 1) {
      out.num_replica = num_cpu / *out.cpu_per_process;
      out.module_num_replica = out.num_replica;
      return std::nullopt;
    }
    auto model = times(times(out.tensor, out.pipeline), out.expert);
    out.num_replica = out.zero > 1 ? num_gpu / out.zero
                                   : num_gpu / times(model, out.fsdp);
    auto per_replica = times(times(model, out.zero), out.fsdp);
    if (per_replica > num_gpu || num_gpu % per_replica != 0)
      return assertion(fmt::format("{}: num_gpu {} must be a multiple of the "
                                   "{} GPUs of a replica",
                                   out.name, num_gpu, per_replica));
    out.module_num_replica = num_gpu / per_replica;
    out.module_num_gpu_per_replica = per_replica;
    return std::nullopt;
  }

  complaint derive_batch(const model_options& x, derived_model& out) const {
    auto own = get_int(x.fields, "generation_batch_size");
    auto batch = own ? *own
                     : get_int(runtime_, "generation_batch_size").value_or(2);
    out.generation_batch_size = batch <= 0 ? -1 : batch;
    if (batch > 0 && times(out.num_replica, batch) > samples())
      return assertion(fmt::format("{}: num_replica {} x generation_batch_size "
                                   "{} must not exceed sample_per_episode {}",
                                   x.name, out.num_replica, batch, samples()));
    return std::nullopt;
  }

  const std::vector<model_options>& models_;
  const option_map& runtime_;
  derived_config out_;
};

} // namespace

outcome<derived_config> derive_config(const std::vector<model_options>& models,
                                      const option_map& runtime) {
  return deriver{models, runtime}.run();
}

} // namespace troupe::planner::chatlearn
