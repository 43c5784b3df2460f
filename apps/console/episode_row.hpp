// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace troupe::console {

/// What is known of one finished episode. What was not measured is left out of
/// every view.
struct episode_row {
  /// 1-based, and how many there will be.
  std::int64_t episode = 0;
  std::int64_t num_episode = 0;
  std::optional<double> mean_reward;
  /// 0 to 1.
  std::optional<double> eval_accuracy;
  std::optional<double> tokens_per_second;
  std::optional<double> sync_ms;
  std::optional<double> loss;
  std::optional<double> kl;
  /// Since the run began.
  std::chrono::nanoseconds elapsed{};
  /// Further metrics of the application, for metrics.jsonl alone.
  std::map<std::string, double> more;
};

/// The object of metrics.jsonl: `episode`, `num_episode`, `mean_reward`,
/// `eval_accuracy`, `tokens_per_second`, `sync_ms`, `loss`, `kl`,
/// `elapsed_seconds`, then `more`. Absent values and such that are not finite
/// are null.
[[nodiscard]] nlohmann::ordered_json to_json(const episode_row& row);

/// The inverse, for what a plot shows; `more` stays empty. What is missing or of
/// another type is absent.
[[nodiscard]] episode_row row_from_json(const nlohmann::ordered_json& object);

} // namespace troupe::console
