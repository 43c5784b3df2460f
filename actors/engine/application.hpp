// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "troupe/actors/config/job_config.hpp"
#include "troupe/actors/config/schema.hpp"
#include "troupe/actors/engine/flow.hpp"
#include "troupe/actors/model/registry.hpp"
#include "troupe/actors/protocol/error_report.hpp"
#include "troupe/core/batch.hpp"
#include "troupe/core/error.hpp"

namespace troupe {

/// What a batch of data is for.
enum class data_stream : std::uint8_t {
  /// Prompts to gather experience on.
  prompts,
  /// Examples with answers for a supervised warm start.
  supervised,
  /// Held out, for stopping rules.
  dev,
  /// Held out, for the figures that are reported.
  test,
};

/// Where an application's data comes from. Lives in the driver; used by one
/// thread at a time. May throw: the run fails with the exception's text.
class data_source {
public:
  virtual ~data_source() = default;

  /// The next `rows` examples of a training stream, without end.
  [[nodiscard]] virtual batch draw(data_stream stream, std::int64_t rows) = 0;

  /// All examples of a held-out stream.
  [[nodiscard]] virtual batch all(data_stream stream) = 0;

  /// Where the training streams stand. A source that returns something here,
  /// also before the first `draw`, lets a run be resumed exactly; of one that
  /// does not, a run that saves checkpoints or goes on after failures warns.
  [[nodiscard]] virtual batch position() const { return {}; }

  /// Goes to what `position` gave, in this process or an earlier one: `draw`
  /// then gives what it would have given there.
  virtual void seek(const batch& position);

  /// Options that follow from the data (a vocabulary's size, say): they replace
  /// those of every model that declares them.
  [[nodiscard]] virtual std::vector<std::pair<std::string, option_value>>
  model_options() const {
    return {};
  }
};

/// What a run loses whose data gives `position`, a sentence; nothing if the data
/// has a position, or if the run never goes on from anywhere.
[[nodiscard]] std::optional<std::string>
check_position(const batch& position, const config::runtime_config& runtime);

/// `position`, with what it throws as an error.
[[nodiscard]] result<batch> position_of(const data_source& data);

/// `seek`, with what it throws as an error.
[[nodiscard]] result<void> seek_to(data_source& data, const batch& position);

/// When a sync pair moves weights, besides once after the warm start.
enum class sync_schedule_kind : std::uint8_t {
  /// After training, by the destination's `sync_frequency`.
  by_frequency,
  /// Never again: the destination keeps what the warm start made.
  once,
};

/// A figure computed from a gathered batch in the driver.
struct metric_function {
  std::string name;
  std::function<double(const batch&)> compute;
};

/// A supervised warm start in rounds: train on `rows` examples, look at the dev
/// accuracy, stop at `accuracy` or after `rounds`.
struct warm_start_plan {
  flow_graph training;
  std::string rows_option;
  std::string rounds_option;
  std::string accuracy_option;
};

/// Everything an application declares: what the engine runs. Plain data, the
/// same in every process of a job.
struct application {
  std::string name;
  module_registry models;
  std::vector<option_spec> options;
  std::vector<planner::sync_pair> syncs;
  /// One for each of `syncs`.
  std::vector<sync_schedule_kind> sync_kinds;
  std::function<result<std::unique_ptr<data_source>>(
    const config::runtime_config&)>
    data;
  warm_start_plan warm_start;
  flow_graph experience;
  flow_graph training;
  flow_graph evaluation;
  /// Of the gathered experience, one value an episode.
  std::vector<metric_function> metrics;
  /// Of the evaluation's result.
  std::function<double(const batch&)> accuracy;
  /// The number option that ends training once the dev accuracy is that high;
  /// empty: every episode is run.
  std::string stop_accuracy_option;
  /// Looks at a resolved configuration for what no single key shows; null if
  /// there is nothing to look at.
  std::function<result<void>(const config::job_config&)> check;
  /// Hears every error and warning of a run, on a thread of its own in the
  /// driver; null if nobody wants to.
  std::function<void(const protocol::error_report&)> on_error;
  /// Runs first in every host, with the number of threads it may use.
  std::function<void(int)> prepare_host;

  /// What a configuration is checked against.
  [[nodiscard]] config::app_schema schema() const;
};

} // namespace troupe
