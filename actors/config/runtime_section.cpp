// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/config/runtime_section.hpp"

#include <map>

#include <fmt/format.h>

#include "troupe/actors/config/nearest.hpp"
#include "troupe/actors/config/scalar.hpp"
#include "troupe/actors/config/section.hpp"

namespace troupe::config {

std::string_view to_string(failure_policy x) noexcept {
  switch (x) {
    case failure_policy::restart: return "restart";
    case failure_policy::drop: return "drop";
    default: return "stop";
  }
}

namespace {

/// What a bucket of a weight sync needs.
constexpr std::uint64_t bucket_bytes_min = 8;

/// Splits ChatLearn's spelling of a group, `a, b,c`.
std::vector<std::string> split_names(std::string_view text) {
  std::vector<std::string> out;
  for (;;) {
    auto comma = text.find(',');
    auto name = text.substr(0, comma);
    auto first = name.find_first_not_of(' ');
    auto last = name.find_last_not_of(' ');
    if (first == std::string_view::npos)
      out.emplace_back();
    else
      out.emplace_back(name.substr(first, last - first + 1));
    if (comma == std::string_view::npos)
      return out;
    text.remove_prefix(comma + 1);
  }
}

/// Reads and checks the groups of `runtime.colocation`.
class colocation_reader {
public:
  colocation_reader(const job_config& job, problem_list& problems)
    : job_(job),
      problems_(problems) {
    for (const auto& model : job.models)
      names_.push_back(model.name);
  }

  std::vector<std::vector<std::string>> read(const yaml_node& node) {
    if (node.kind == yaml_node::type::scalar && node.text == "all")
      return {all_on_devices()};
    if (node.kind == yaml_node::type::null)
      return {};
    if (node.kind != yaml_node::type::sequence) {
      complain(node.line, fmt::format("expected 'all' or a list of groups such "
                                      "as [[policy, reference]], found {}",
                                      describe(node)));
      return {};
    }
    std::vector<std::vector<std::string>> out;
    for (const auto& item : node.items)
      out.push_back(read_group(item, out.size() + 1));
    return out;
  }

private:
  std::vector<std::string> all_on_devices() const {
    std::vector<std::string> out;
    for (const auto& model : job_.models)
      if (!model.on_cpu())
        out.push_back(model.name);
    return out;
  }

  std::vector<std::string> read_group(const yaml_node& node,
                                      std::size_t number) {
    std::vector<std::string> out;
    if (node.kind == yaml_node::type::scalar) {
      out = split_names(node.text);
    } else if (node.kind == yaml_node::type::sequence) {
      for (const auto& item : node.items) {
        if (auto name = as_text(item))
          out.push_back(std::move(*name));
        else
          complain(item.line, name.error().message());
      }
    } else {
      complain(node.line, fmt::format("expected a group of models such as "
                                      "[policy, reference], found {}",
                                      describe(node)));
    }
    for (const auto& name : out)
      check(name, node.line, number);
    return out;
  }

  void check(const std::string& name, int line, std::size_t group) {
    const auto* model = job_.find(name);
    if (model == nullptr) {
      if (problems_.full())
        return complain(line, {});
      auto text = fmt::format("unknown model {}; the application has: {}",
                              quote(name), fmt::join(names_, ", "));
      if (auto meant = nearest(name, names_))
        text += fmt::format("; did you mean '{}'?", *meant);
      return complain(line, text);
    }
    auto [it, fresh] = group_of_.emplace(name, group);
    if (fresh) {
      // Sizes that were refused look like those of a CPU model.
      if (model->on_cpu() && problems_.empty())
        complain(line, fmt::format("model '{}' runs on the CPU host and shares "
                                   "no device; remove it from the group or "
                                   "give it num_gpu",
                                   name));
      return;
    }
    if (it->second == group)
      complain(line,
               fmt::format("model '{}' stands twice in group {}", name, group));
    else
      complain(line, fmt::format("model '{}' stands in group {} and in group "
                                 "{}; a model shares devices with one group",
                                 name, it->second, group));
  }

  void complain(int line, std::string_view text) {
    problems_.add(line, "runtime.colocation", text);
  }

  const job_config& job_;
  problem_list& problems_;
  std::vector<std::string> names_;
  std::map<std::string, std::size_t> group_of_;
};

void read_times(section& keys, runtime_config& runtime) {
  keys.milliseconds("setup_timeout_ms", runtime.setup_timeout);
  keys.milliseconds("call_timeout_ms", runtime.call_timeout);
  keys.milliseconds("sync_timeout_ms", runtime.sync_timeout);
  keys.milliseconds("collective_timeout_ms", runtime.collective_timeout);
  keys.milliseconds("checkpoint_timeout_ms", runtime.checkpoint_timeout);
  keys.milliseconds("shutdown_timeout_ms", runtime.shutdown_timeout);
  keys.milliseconds("pulse_ms", runtime.pulse);
  keys.milliseconds("pulse_timeout_ms", runtime.pulse_timeout);
  keys.milliseconds("driver_grace_ms", runtime.driver_grace);
  if (runtime.pulse_timeout <= runtime.pulse)
    keys.complain("pulse_timeout_ms",
                  fmt::format("must be greater than pulse_ms: {} is not "
                              "greater than {}",
                              runtime.pulse_timeout.count(),
                              runtime.pulse.count()));
}

void read_restarts(section& keys, runtime_config& runtime) {
  std::string policy{"stop"};
  keys.choice("on_failure", policy, {"stop", "restart", "drop"});
  for (auto x : {failure_policy::restart, failure_policy::drop})
    if (policy == to_string(x))
      runtime.on_failure = x;
  keys.integer("max_restarts", runtime.max_restarts, 0);
  keys.milliseconds("restart_backoff_ms", runtime.restart_backoff);
  keys.milliseconds("node_return_ms", runtime.node_return);
  keys.milliseconds("rejoin_timeout_ms", runtime.rejoin_timeout);
  if (runtime.on_failure == failure_policy::restart
      && runtime.save_episode_interval == 0)
    keys.complain("on_failure", "restart needs checkpoints to go on from; set "
                                "save_episode_interval to 1 or more");
}

void read_signals(section& keys, runtime_config& runtime) {
  std::string policy{"stop"};
  keys.choice("on_non_finite", policy, {"stop", "warn"});
  runtime.warn_on_non_finite = policy == "warn";
  keys.number("straggler_factor", runtime.straggler_factor, 0, 1e6);
  if (runtime.straggler_factor > 0 && runtime.straggler_factor <= 1)
    keys.complain("straggler_factor",
                  fmt::format("must be greater than 1, or 0 for never: {} "
                              "would call every second rank slow",
                              runtime.straggler_factor));
  keys.milliseconds("straggler_min_ms", runtime.straggler_min);
  keys.milliseconds("node_lag_ms", runtime.node_lag, 0);
  keys.flag("monitor", runtime.monitor);
  keys.integer("monitor_port", runtime.monitor_port, 0);
}

void read_sync(section& keys, sync_config& sync) {
  keys.choice("sync_planner", sync.planner, {"reshard", "two_stage"});
  keys.choice("sync_mode", sync.mode, {"auto", "staged", "in_place"});
  keys.choice("sync_link", sync.link, {"auto", "gloo", "nccl"});
  keys.flag("sync_requires_grad", sync.requires_grad);
  keys.flag("sync_warm_up", sync.warm_up);
  keys.flag("sync_dry_run", sync.dry_run);
  keys.flag("concurrent_comm", sync.concurrent);
  keys.flag("free_sync_collective_group", sync.free_groups);
  keys.byte_count("sync_buffer_bytes_max", sync.buffer_bytes_max);
  if (sync.buffer_bytes_max < bucket_bytes_min)
    keys.complain("sync_buffer_bytes_max",
                  fmt::format("must be at least {} bytes, is {}",
                              bucket_bytes_min, sync.buffer_bytes_max));
  keys.byte_count("sync_staging_bytes_max", sync.staging_bytes_max);
}

} // namespace

void read_runtime(const yaml_node* node, int line, const app_schema& schema,
                  problem_list& problems, job_config& job) {
  auto& runtime = job.runtime;
  section keys{node, line, "runtime", schema.options, problems};
  if (const auto* groups = keys.raw("colocation"))
    runtime.colocation = colocation_reader{job, problems}.read(*groups);
  std::string order{"reversed"};
  keys.choice("placement", order, {"reversed", "aligned"});
  runtime.placement = order == "aligned" ? planner::placement_order::aligned
                                         : planner::placement_order::reversed;
  keys.text("devices", runtime.devices);
  keys.text("nodes", runtime.nodes);
  keys.text("certs", runtime.certs);
  keys.integer("num_episode", runtime.num_episode, 0);
  keys.integer("sample_per_episode", runtime.sample_per_episode, 1);
  keys.integer("eval_episode_interval", runtime.eval_episode_interval, 0);
  keys.integer("save_episode_interval", runtime.save_episode_interval, 0);
  keys.integer("checkpoints_max", runtime.checkpoints_max, 1);
  read_restarts(keys, runtime);
  read_signals(keys, runtime);
  keys.integer("seed", runtime.seed, 0);
  keys.flag("deterministic", runtime.deterministic);
  read_times(keys, runtime);
  keys.byte_count("store_bytes_max", runtime.store_bytes_max);
  keys.integer("validate_every", runtime.validate_every, 0);
  read_sync(keys, runtime.sync);
  keys.choice("log_level", runtime.log_level,
              {"debug", "info", "warning", "error"});
  keys.text("output_dir", runtime.output_dir);
  if (runtime.output_dir.empty())
    keys.complain("output_dir", "must not be empty; '.' is the present folder");
  keys.text("run_name", runtime.run_name);
  keys.text("data_path", runtime.data_path);
  keys.text("eval_data_path", runtime.eval_data_path);
  keys.flag("debug", runtime.debug);
  keys.elsewhere("exp_name", "unknown key; ChatLearn's name of 'run_name'; "
                             "rename it");
  keys.elsewhere("max_data_ckpt_nums", "unknown key; ChatLearn's name of "
                                       "'checkpoints_max'; rename it");
  keys.elsewhere("validate_param_sync",
                 "unknown key; write validate_every: 1 to validate every sync");
  keys.elsewhere("coalesced_buffer_mb",
                 "unknown key; write sync_buffer_bytes_max with a unit");
  keys.options(runtime.options);
  keys.finish();
}

} // namespace troupe::config
