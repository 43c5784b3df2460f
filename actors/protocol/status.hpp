// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include "troupe/actors/protocol/monitor.hpp"
#include "troupe/actors/protocol/process.hpp"
#include "troupe/actors/protocol/weights.hpp"
#include "troupe/actors/protocol/wire.hpp"

// How a run stands, for whoever looks at it. Nothing here changes anything.

namespace troupe::protocol {

struct model_status {
  std::string model;
  std::int32_t num_replica = 0;
  /// Of each replica.
  std::int32_t num_rank = 0;
  bool trainable = false;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 model_status& x) {
    return f(x.model, x.num_replica, x.num_rank, x.trainable);
  }
};

/// Where the engine stands.
struct progress_status {
  std::string phase;
  std::int64_t done = 0;
  /// 0 means unknown.
  std::int64_t total = 0;
  /// How long it has been in this phase.
  std::uint64_t phase_ms = 0;
  /// Episodes that have ended, and how many there will be.
  std::int64_t episode = 0;
  std::int64_t num_episode = 0;
  /// Of the last episode.
  std::vector<std::pair<std::string, wire_double>> metrics;
  std::int64_t restarts = 0;
  std::uint64_t uptime_ms = 0;
  /// `finished`, `failed` or `interrupted`; empty while the run goes on.
  std::string end;
  /// If it failed: the first cause.
  std::string cause;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 progress_status& x) {
    return f(x.phase, x.done, x.total, x.phase_ms, x.episode, x.num_episode,
             x.metrics, x.restarts, x.uptime_ms, x.end, x.cause);
  }
};

/// Asks how the run stands. Sender: anybody. Answer: run_status, within a
/// second, whatever the workers are doing.
struct get_run_status {
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 get_run_status&) {
    return f();
  }
};

struct run_status {
  std::string app;
  std::string run;
  std::string job;
  progress_status progress;
  std::vector<node_status> nodes;
  std::vector<model_status> models;
  /// One a worker that has been started.
  std::vector<worker_status> workers;
  /// The last ones.
  error_history errors;
  /// Who did not answer in time, a sentence each.
  std::vector<std::string> silent;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, run_status& x) {
    return f(x.app, x.run, x.job, x.progress, x.nodes, x.models, x.workers,
             x.errors, x.silent);
  }
};

/// Tells how the run stands. Lives in the driver.
using status_actor = caf::typed_actor<
  caf::replies_to<get_run_status>::with<run_status>>;

} // namespace troupe::protocol
