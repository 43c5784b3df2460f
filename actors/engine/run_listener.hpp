// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/actors/protocol/monitor.hpp"
#include "troupe/actors/protocol/process.hpp"

namespace troupe::engine {

/// Which samples an episode trained on: the ledger. Samples are counted over
/// all episodes of a run; the next episode begins where this one ends.
struct sample_range {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  /// Of the batch that was drawn.
  std::string digest;
};

/// What one episode gave.
struct episode_result {
  /// 1-based, and how many there will be.
  std::int64_t episode = 0;
  std::int64_t num_episode = 0;
  /// The application's metrics and the metadata its training returned.
  std::map<std::string, double> metrics;
  /// If it was evaluated.
  std::optional<double> accuracy;
  sample_range samples;
  /// All syncs of the episode together.
  std::chrono::microseconds sync{};
  std::chrono::nanoseconds spent{};
  /// Of each step, by name; steps may go on side by side.
  std::map<std::string, std::chrono::nanoseconds> times;
  std::chrono::nanoseconds elapsed{};
};

enum class run_end : std::uint8_t { finished, interrupted, failed };

[[nodiscard]] std::string_view to_string(run_end x) noexcept;

/// What a run gave.
struct run_outcome {
  run_end end = run_end::failed;
  /// If it failed.
  protocol::verdict verdict;
  std::int64_t episodes = 0;
  std::optional<double> warm_start_accuracy;
  std::optional<double> final_accuracy;
  /// Rows of the final evaluation.
  std::int64_t evaluated = 0;
  /// Whether all destinations that are kept in step held their source's
  /// weights bit for bit at the end; absent if nothing was compared.
  std::optional<bool> weights_identical;
  std::vector<std::string> weight_differences;
  std::vector<std::chrono::microseconds> syncs;
  double tokens = 0;
  /// Wall time by what was going on, in order of first use.
  std::vector<std::pair<std::string, std::chrono::nanoseconds>> times;
  std::vector<protocol::node_status> nodes;
  std::chrono::nanoseconds wall{};
  /// How often the run was begun again after a failure.
  std::int64_t restarts = 0;
  /// The last checkpoint on the disk: after how many episodes it was saved.
  std::optional<std::int64_t> saved_episode;
};

/// A run that failed and goes on (`runtime.on_failure`).
struct restart_notice {
  /// Which restart this is, from 1, and how many there may be.
  std::int64_t number = 0;
  std::int64_t number_max = 0;
  /// The first cause.
  protocol::error_report cause;
  /// The episode behind which it goes on; -1 if from the beginning.
  std::int64_t episode = -1;
  std::chrono::milliseconds wait{};
  /// It was told already, and what is left does not serve: it goes on behind an
  /// earlier episode.
  bool further_back = false;
};

/// Who follows a run. Called by the engine and its driver, one call at a time,
/// but for `on_error`, which may be called beside the others. Must return soon and not
/// throw.
class run_listener {
public:
  virtual ~run_listener() = default;

  /// `done` of `total` steps of a phase; `total` 0 means unknown.
  virtual void on_phase(std::string_view name, std::int64_t done,
                        std::int64_t total) = 0;

  virtual void on_episode(const episode_result& result) = 0;

  /// One line worth keeping.
  virtual void on_note(std::string_view text) = 0;

  /// Episodes after `notice.episode` will come again.
  virtual void on_restart(const restart_notice& notice) = 0;

  /// Every error of the job as the error_signal has recorded it.
  virtual void on_error(const protocol::error_report& report) = 0;
};

} // namespace troupe::engine
