// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/config/dump.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

#include <fmt/format.h>

namespace troupe::config {

namespace {

/// A YAML scalar that reads back as `text`: plain if it is a harmless word.
std::string scalar(std::string_view text) {
  constexpr std::string_view safe = "abcdefghijklmnopqrstuvwxyz"
                                    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                    "0123456789_./-";
  auto plain = !text.empty() && text.front() != '-'
               && text.find_first_not_of(safe) == std::string_view::npos
               && text != "null" && text != "Null" && text != "NULL";
  if (plain)
    return std::string{text};
  std::string out{"\""};
  for (auto ch : text) {
    auto byte = static_cast<unsigned char>(ch);
    if (ch == '"' || ch == '\\')
      out += fmt::format("\\{}", ch);
    else if (byte < 0x20 || byte == 0x7f)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += ch;
  }
  out += '"';
  return out;
}

std::string scalar(const option_value& value) {
  if (auto* text = std::get_if<std::string>(&value))
    return scalar(std::string_view{*text});
  if (auto* number = std::get_if<double>(&value); number && std::isinf(*number))
    return *number > 0 ? ".inf" : "-.inf";
  return troupe::to_string(value);
}

/// Writes `key: value` lines at one depth.
class writer {
public:
  writer(std::string& out, std::size_t depth) : out_(out), depth_(depth) {
    // nop
  }

  template <class T>
  void put(std::string_view key, const T& value,
           std::string_view comment = {}) {
    auto line = fmt::format("{:{}}{}: {}", "", depth_ * 2, key, value);
    if (!comment.empty())
      line += fmt::format("  # {}", comment);
    out_ += line;
    out_ += '\n';
  }

  /// What follows from the keys around it: one that stood there would have to
  /// be changed with them.
  void derived(std::string_view key, std::int64_t value,
               std::string_view comment) {
    out_ += fmt::format("{:{}}# {}: {}, {}\n", "", depth_ * 2, key, value,
                        comment);
  }

  void open(std::string_view key) {
    out_ += fmt::format("{:{}}{}:\n", "", depth_ * 2, key);
  }

  void put(const options& values, const std::vector<option_spec>* specs) {
    for (const auto& entry : values.values()) {
      std::string comment;
      if (specs != nullptr)
        for (const auto& spec : *specs)
          if (spec.name == entry.first)
            comment = spec.help;
      // A comment ends with its line.
      std::replace_if(
        comment.begin(), comment.end(),
        [](char ch) { return static_cast<unsigned char>(ch) < 0x20; }, ' ');
      put(entry.first, scalar(entry.second), comment);
    }
  }

private:
  std::string& out_;
  std::size_t depth_;
};

std::string_view word(planner::optimizer_kind x) {
  switch (x) {
    case planner::optimizer_kind::adam: return "adam";
    case planner::optimizer_kind::sgd: return "sgd";
    default: return "none";
  }
}

std::string_view word(planner::recompute_policy x) {
  switch (x) {
    case planner::recompute_policy::none: return "none";
    case planner::recompute_policy::full: return "full";
    default: return "selective";
  }
}

std::string_view word(planner::model_role x) {
  switch (x) {
    case planner::model_role::generate: return "generate";
    case planner::model_role::train: return "train";
    default: return "score";
  }
}

void put_profile(std::string& out, const profile_config& profile) {
  const auto& settings = profile.settings;
  writer{out, 2}.open("profile");
  writer keys{out, 3};
  if (profile.num_parameters > 0) {
    keys.put("num_parameters", profile.num_parameters);
    keys.put("num_layers", profile.num_layers);
  }
  if (!profile.hf_config.empty())
    keys.put("hf_config", scalar(std::string_view{profile.hf_config}));
  keys.put("role", word(settings.role));
  keys.put("rank_order", planner::to_string(settings.order));
  keys.put("weights_dtype", to_string(settings.weights));
  keys.put("gradients_dtype", to_string(settings.gradients));
  keys.put("kv_cache_dtype", to_string(settings.kv_cache));
  keys.put("optimizer", word(settings.optimizer));
  keys.put("distributed_optimizer", settings.distributed_optimizer);
  keys.put("recompute", word(settings.recompute));
  keys.put("offload", settings.offload);
  keys.put("micro_batch_size", settings.micro_batch);
  if (settings.sequence_tokens > 0)
    keys.put("sequence_length", settings.sequence_tokens);
  keys.put("concurrent_sequences", settings.concurrent_sequences);
}

void put_workload(std::string& out, const planner::workload& x) {
  writer{out, 0}.open("workload");
  writer keys{out, 1};
  if (x.samples > 0)
    keys.put("samples", x.samples);
  keys.put("prompt_tokens", x.prompt_tokens);
  keys.put("response_tokens", x.response_tokens);
  if (x.train_batch > 0)
    keys.put("train_batch", x.train_batch);
  keys.put("epochs", x.epochs);
  keys.put("batches", x.batches);
}

void put_model(std::string& out, const model_config& model,
               const model_schema* schema) {
  writer{out, 1}.open(model.name);
  writer keys{out, 2};
  if (model.trainable)
    keys.put("trainable", true, "told by the application");
  if (model.on_cpu()) {
    keys.put("num_cpu", model.num_cpu);
    keys.put("cpu_per_process", model.cpu_per_process);
  } else {
    if (model.all_gpus)
      keys.put("num_gpu", "all");
    else
      keys.put("num_gpu", model.num_gpu);
    keys.put("gpu_per_process", model.gpu_per_process);
    const auto& sizes = model.parallel;
    keys.put("tensor_model_parallel_size", sizes.tensor);
    keys.put("pipeline_model_parallel_size", sizes.pipeline);
    keys.put("context_parallel_size", sizes.context);
    keys.put("expert_model_parallel_size", sizes.expert);
  }
  std::string comment{"derived"};
  if (model.parallel.data > 1)
    comment += fmt::format("; {} data-parallel ranks in it",
                           model.parallel.data);
  if (!model.all_gpus)
    keys.derived("num_replica", model.num_replica, comment);
  keys.put("isolated", model.isolated);
  keys.put("offload", model.offload);
  if (model.device_memory_max > 0
      && !model.options.contains("device_memory_max"))
    keys.put("device_memory_max", model.device_memory_max);
  keys.put("sync_frequency", model.sync_frequency);
  keys.put(model.options, schema != nullptr ? &schema->options : nullptr);
  if (model.profile)
    put_profile(out, *model.profile);
}

void put_sync(writer& keys, const sync_config& sync) {
  keys.put("sync_planner", sync.planner);
  keys.put("sync_mode", sync.mode);
  keys.put("sync_link", sync.link);
  keys.put("sync_requires_grad", sync.requires_grad);
  keys.put("sync_warm_up", sync.warm_up);
  keys.put("sync_dry_run", sync.dry_run);
  keys.put("concurrent_comm", sync.concurrent);
  keys.put("free_sync_collective_group", sync.free_groups);
  keys.put("sync_buffer_bytes_max", sync.buffer_bytes_max);
  keys.put("sync_staging_bytes_max", sync.staging_bytes_max);
}

void put_runtime(std::string& out, const runtime_config& runtime,
                 const app_schema& schema) {
  writer{out, 0}.open("runtime");
  writer keys{out, 1};
  std::vector<std::string> groups;
  for (const auto& group : runtime.colocation) {
    std::vector<std::string> names;
    for (const auto& name : group)
      names.push_back(scalar(std::string_view{name}));
    groups.push_back(fmt::format("[{}]", fmt::join(names, ", ")));
  }
  keys.put("colocation", fmt::format("[{}]", fmt::join(groups, ", ")));
  auto aligned = runtime.placement == planner::placement_order::aligned;
  keys.put("placement", aligned ? "aligned" : "reversed");
  keys.put("devices", scalar(std::string_view{runtime.devices}));
  keys.put("nodes", scalar(std::string_view{runtime.nodes}));
  keys.put("certs", scalar(std::string_view{runtime.certs}));
  keys.put("num_episode", runtime.num_episode);
  keys.put("sample_per_episode", runtime.sample_per_episode);
  keys.put("eval_episode_interval", runtime.eval_episode_interval);
  keys.put("save_episode_interval", runtime.save_episode_interval);
  keys.put("checkpoints_max", runtime.checkpoints_max);
  keys.put("on_failure", std::string{to_string(runtime.on_failure)});
  keys.put("max_restarts", runtime.max_restarts);
  keys.put("restart_backoff_ms", runtime.restart_backoff.count());
  keys.put("node_return_ms", runtime.node_return.count());
  keys.put("rejoin_timeout_ms", runtime.rejoin_timeout.count());
  keys.put("on_non_finite", runtime.warn_on_non_finite ? "warn" : "stop");
  keys.put("straggler_factor", runtime.straggler_factor);
  keys.put("straggler_min_ms", runtime.straggler_min.count());
  keys.put("node_lag_ms", runtime.node_lag.count());
  keys.put("monitor", runtime.monitor);
  keys.put("monitor_port", runtime.monitor_port);
  keys.put("seed", runtime.seed);
  keys.put("deterministic", runtime.deterministic);
  keys.put("setup_timeout_ms", runtime.setup_timeout.count());
  keys.put("call_timeout_ms", runtime.call_timeout.count());
  keys.put("sync_timeout_ms", runtime.sync_timeout.count());
  keys.put("collective_timeout_ms", runtime.collective_timeout.count());
  keys.put("checkpoint_timeout_ms", runtime.checkpoint_timeout.count());
  keys.put("shutdown_timeout_ms", runtime.shutdown_timeout.count());
  keys.put("pulse_ms", runtime.pulse.count());
  keys.put("pulse_timeout_ms", runtime.pulse_timeout.count());
  keys.put("driver_grace_ms", runtime.driver_grace.count());
  keys.put("store_bytes_max", runtime.store_bytes_max);
  keys.put("validate_every", runtime.validate_every);
  put_sync(keys, runtime.sync);
  keys.put("log_level", runtime.log_level);
  keys.put("output_dir", scalar(std::string_view{runtime.output_dir}));
  keys.put("run_name", scalar(std::string_view{runtime.run_name}));
  keys.put("data_path", scalar(std::string_view{runtime.data_path}));
  keys.put("eval_data_path", scalar(std::string_view{runtime.eval_data_path}));
  keys.put("debug", runtime.debug);
  keys.put(runtime.options, &schema.options);
}

} // namespace

std::string dump_yaml(const job_config& job, const app_schema& schema) {
  auto out = fmt::format("# The configuration of this run with every default "
                         "filled in.\napp: {}\n\nmodels:\n",
                         scalar(std::string_view{job.app}));
  for (const auto& model : job.models) {
    const model_schema* own = nullptr;
    for (const auto& candidate : schema.models)
      if (candidate.name == model.name)
        own = &candidate;
    put_model(out, model, own);
  }
  out += '\n';
  put_runtime(out, job.runtime, schema);
  if (job.workload != job_config{}.workload) {
    out += '\n';
    put_workload(out, job.workload);
  }
  return out;
}

} // namespace troupe::config
