// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "troupe/actors/config/options.hpp"
#include "troupe/actors/config/profile_config.hpp"
#include "troupe/planner/cost_model.hpp"
#include "troupe/planner/model_spec.hpp"

namespace troupe::config {

/// One model of a job, every default filled in and every derived number
/// computed. Keys in the file have the members' names unless said otherwise.
struct model_config {
  std::string name;

  /// Devices of all replicas together; 0 for a model that runs on the CPU
  /// host.
  std::int32_t num_gpu = 0;
  /// `num_gpu: all`. The sizes are those of one replica until
  /// `take_all_devices` says how many devices that is.
  bool all_gpus = false;
  /// Devices that one rank holds.
  std::int32_t gpu_per_process = 1;
  /// CPU models: cores of all replicas together, and of one process.
  std::int32_t num_cpu = 0;
  std::int32_t cpu_per_process = 0;
  /// Derived; a value in the file must agree. Always 1 if trainable: its data
  /// parallelism lives inside the replica.
  std::int32_t num_replica = 1;
  /// Sizes of one replica: `tensor_model_parallel_size`,
  /// `pipeline_model_parallel_size`, `context_parallel_size` and
  /// `expert_model_parallel_size` in the file; `data` is derived.
  planner::parallel_sizes parallel;

  /// Told by the application; a value in the file must agree.
  bool trainable = false;
  /// Device hosts of its own.
  bool isolated = false;
  /// Gives its device's memory back after each function and each weight sync
  /// (`module::offload`), for those it shares the device with.
  bool offload = false;
  /// Most bytes of its device that a rank is to hold; 0: any number. An
  /// application may have an option of that name: this is its value then.
  std::uint64_t device_memory_max = 0;
  /// As a destination of weights: sync every n episodes, 0 means never.
  std::int32_t sync_frequency = 1;

  /// What the application declared for this model.
  troupe::options options;

  /// `profile` in the file; `run` does not read it.
  std::optional<profile_config> profile;

  [[nodiscard]] bool on_cpu() const noexcept { return num_gpu == 0; }

  bool operator==(const model_config&) const = default;
};

/// How weights are kept in step: keys of the section `runtime`, with ChatLearn's
/// names where it has them.
struct sync_config {
  /// `sync_planner`.
  std::string planner = "reshard";
  /// `sync_mode`: `auto`, `staged` or `in_place`.
  std::string mode = "auto";
  /// `sync_link`: `auto`, `gloo` or `nccl`.
  std::string link = "auto";
  /// `sync_requires_grad`: after a first sync of everything only what trains.
  bool requires_grad = false;
  /// `sync_warm_up`: map and touch memory before the first sync.
  bool warm_up = true;
  /// `sync_dry_run`: plan and report, move nothing.
  bool dry_run = false;
  /// `concurrent_comm`: syncs that do not need each other run side by side.
  bool concurrent = true;
  /// `free_sync_collective_group`: close the links between syncs.
  bool free_groups = false;
  /// `sync_buffer_bytes_max`: buckets under way, a rank.
  std::uint64_t buffer_bytes_max = std::uint64_t{64} << 20;
  /// `sync_staging_bytes_max`: what is staged, a process.
  std::uint64_t staging_bytes_max = std::uint64_t{4} << 30;

  bool operator==(const sync_config&) const = default;
};

/// `on_failure`: what a run does that fails.
enum class failure_policy : std::uint8_t {
  stop,
  /// What was lost begins anew, and the run goes on.
  restart,
  /// The run goes on without the replicas that were lost, if others do their
  /// work; else as `restart` if there is a checkpoint.
  drop,
};

[[nodiscard]] std::string_view to_string(failure_policy x) noexcept;

/// What concerns the whole job: the file's section `runtime`.
struct runtime_config {
  /// Groups of models that share devices. The file may also say `all`.
  std::vector<std::vector<std::string>> colocation;
  planner::placement_order placement = planner::placement_order::reversed;

  /// `cpu:2`: see `parse_devices`.
  std::string devices = "cpu:2";
  /// Machines on which `troupe node` listens, with commas: `"a:4100,b:4100"`;
  /// empty: the job runs on this one.
  std::string nodes;
  /// The folder of certificates that joins them; empty: no TLS, on loopback
  /// alone.
  std::string certs;

  std::int64_t num_episode = 5000;
  /// Prompts of one episode.
  std::int64_t sample_per_episode = 1000;
  /// Evaluate every n episodes, 0 means never.
  std::int64_t eval_episode_interval = 0;
  /// Save a checkpoint every n episodes, 0 means never.
  std::int64_t save_episode_interval = 0;
  /// How many checkpoints are kept.
  std::int64_t checkpoints_max = 2;
  failure_policy on_failure = failure_policy::stop;
  /// How often, until the program ends.
  std::int64_t max_restarts = 3;
  /// Before the first attempt; doubles while attempts get nowhere.
  std::chrono::milliseconds restart_backoff{500};
  /// How long such a run waits for a machine that was lost to come back.
  std::chrono::milliseconds node_return{60'000};
  /// How long a process that a failure has left may be busy with what it was
  /// doing: if one is for longer, all begin anew.
  std::chrono::milliseconds rejoin_timeout{10'000};
  /// `on_non_finite: warn`: a metric of a training step that is NaN or infinite
  /// does not end the run.
  bool warn_on_non_finite = false;
  /// A rank that takes so many times as long as its peers is reported; 0 never.
  double straggler_factor = 4;
  /// And at least so much longer. `straggler_min_ms`.
  std::chrono::milliseconds straggler_min{1'000};
  /// A node whose sign of life comes so much later than it should is reported;
  /// 0 never. `node_lag_ms`.
  std::chrono::milliseconds node_lag{300};
  /// Whether `monitor` may look at the run, over a port of the loopback device;
  /// 0 means any free one.
  bool monitor = true;
  std::uint16_t monitor_port = 0;
  std::int64_t seed = 1;
  /// The same seed gives the same run, bit for bit.
  bool deterministic = true;

  /// Deadlines of what can hang. Keys end in `_ms`.
  std::chrono::milliseconds setup_timeout{120'000};
  std::chrono::milliseconds call_timeout{60'000};
  std::chrono::milliseconds sync_timeout{30'000};
  std::chrono::milliseconds collective_timeout{30'000};
  std::chrono::milliseconds checkpoint_timeout{120'000};
  std::chrono::milliseconds shutdown_timeout{2'000};
  /// Interval of pulses and the silence after which a process counts as lost.
  std::chrono::milliseconds pulse{100};
  std::chrono::milliseconds pulse_timeout{800};
  /// How long nodes wait for a silent driver.
  std::chrono::milliseconds driver_grace{30'000};

  /// Bound of one host's batch store. The file may say `2 GiB`.
  std::uint64_t store_bytes_max = std::uint64_t{1} << 30;
  /// Compare every element in every n-th sync, 0 means never.
  std::int64_t validate_every = 0;
  sync_config sync;

  /// `debug`, `info`, `warning` or `error`.
  std::string log_level = "info";
  /// Outputs go to `output_dir/run_name`; an empty name means a generated one.
  std::string output_dir = "runs";
  std::string run_name;
  /// Dataset; empty means what the application generates.
  std::string data_path;
  std::string eval_data_path;
  /// No pulses, so that a debugger may stop a process.
  bool debug = false;

  /// What the application declared for itself.
  troupe::options options;

  bool operator==(const runtime_config&) const = default;
};

/// A resolved configuration: nothing in it is optional any more.
struct job_config {
  /// The application's name.
  std::string app;
  /// In the order in which the application declared them.
  std::vector<model_config> models;
  runtime_config runtime;
  /// The file's section `workload`, which only `plan` reads. A number of
  /// samples or a batch of 0 means those of `runtime`.
  planner::workload workload{.samples = 0, .train_batch = 0};

  /// Null if there is no such model.
  [[nodiscard]] const model_config* find(std::string_view name) const noexcept;

  bool operator==(const job_config&) const = default;
};

/// Settles the models of `job` that want all devices: there are `devices` (see
/// `model_config::all_gpus`). To be called before a job is planned; models that
/// gave a number, or have been settled, stay as they are.
void take_all_devices(job_config& job, std::int64_t devices);

/// What the planner must know of `job`.
[[nodiscard]] planner::job_spec
to_job_spec(const job_config& job, std::vector<planner::sync_pair> syncs);

} // namespace troupe::config
