// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace troupe::console {

/// One process of the job.
struct process_row {
  /// `driver`, `host-0`, `cpu-host`...
  std::string slot;
  /// `cpu:0`, `cuda:1`; empty if it has none.
  std::string device;
  std::int64_t pid = 0;
  /// Workers that live there, e.g. `policy/0/0`, or models' names.
  std::vector<std::string> models;
  std::int32_t restarts = 0;
};

/// One part of the run's time, e.g. generation.
struct time_share {
  std::string name;
  std::chrono::nanoseconds spent{};
};

/// What a finished run has to say.
struct run_summary {
  std::string app;
  std::string run_name;
  std::string version;
  std::int64_t seed = 0;
  /// `finished`, `interrupted` or `failed`.
  std::string exit_reason = "finished";
  std::int64_t episodes = 0;
  /// How often it was begun again after a failure.
  std::int64_t restarts = 0;
  std::chrono::nanoseconds wall{};
  /// 0 to 1.
  std::optional<double> warm_start_accuracy;
  std::optional<double> final_accuracy;
  /// How many problems the evaluation answered.
  std::int64_t evaluated = 0;
  /// Whether every destination replica held the source's weights bit for bit
  /// after the last sync; absent if nothing was compared.
  std::optional<bool> weights_identical;
  std::optional<double> tokens_per_second;
  /// Median of one weight sync.
  std::optional<double> sync_ms;
  std::vector<process_row> processes;
  std::vector<time_share> times;
  /// Where the outputs are; empty if there are none.
  std::filesystem::path directory;
  /// What lies there.
  std::vector<std::string> files{"config.yaml",  "metrics.jsonl",
                                 "ledger.jsonl", "errors.jsonl",
                                 "summary.json", "reward.svg",
                                 "checkpoints/", "log/"};
  /// How to go on with a run that has not reached its end; empty if there is
  /// no way.
  std::string way_on;
  /// Further figures of the application, for summary.json alone.
  std::map<std::string, double> more;
};

/// The object of summary.json. Always there: `app`, `run_name`, `version`,
/// `seed`, `exit_reason`, `episodes`, `restarts`, `wall_seconds`, `warm_start_accuracy`,
/// `final_accuracy`, `weights_identical`, `tokens_per_second`, `sync_ms`,
/// `times` (name -> seconds), `processes`; absent values are null. Then `more`.
[[nodiscard]] nlohmann::ordered_json to_json(const run_summary& summary);

} // namespace troupe::console
