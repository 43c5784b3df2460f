// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "troupe/actors/checkpoint/checkpoint_folder.hpp"
#include "troupe/actors/config/devices.hpp"
#include "troupe/actors/engine/application.hpp"
#include "troupe/actors/engine/run_listener.hpp"
#include "troupe/actors/process/guard_client.hpp"
#include "troupe/planner/cluster.hpp"

namespace troupe::engine {

struct driver_settings {
  std::string job;
  config::device_request devices;
  /// Where hosts write their logs.
  std::filesystem::path log_dir;
  /// Of Troupe, for monitors, and where they find the run.
  std::string version;
  std::filesystem::path monitor_file;
  /// Where checkpoints are kept, and the one to go on from. Absolute.
  std::filesystem::path checkpoint_dir;
  std::optional<checkpoint::saved> resume;
  /// Starts the hosts; null for `--devices inproc`. Outlives the run.
  process::guard_client* guard = nullptr;
};

/// The planner's view of this machine under a device request.
[[nodiscard]] planner::cluster make_cluster(const config::device_request& x);

/// What `drive` gives.
struct driven {
  /// Fails with what made it impossible to begin; what went wrong later is in
  /// the outcome.
  result<run_outcome> outcome;
  /// Threads of a run that failed are left, in the middle of anything. They use
  /// every argument of `drive`: whoever called it must end the process with
  /// `_exit`, without destroying those or anything static.
  bool threads_left = false;
};

/// Runs a job to its end: makes every actor of the driver, hands over to the
/// engine, waits, and cleans up. With `on_failure: restart` a run that failed
/// goes on from its last checkpoint: hosts and actors are ended, node and guard
/// stay, and everything else is made anew. SIGINT and SIGTERM must be blocked in the
/// calling thread and all others: the first ends the run in good order, the
/// second at once.
[[nodiscard]] driven drive(const application& app,
                           const config::job_config& config,
                           const std::shared_ptr<data_source>& data,
                           const driver_settings& settings,
                           run_listener& listener);

} // namespace troupe::engine
