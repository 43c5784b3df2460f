// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "troupe/actors/engine/application.hpp"
#include "troupe/actors/engine/driver_settings.hpp"
#include "troupe/actors/engine/run_listener.hpp"

namespace troupe::engine {

/// What `drive` gives.
struct driven {
  /// Fails with what made it impossible to begin; what went wrong later is in
  /// the outcome.
  result<run_outcome> outcome;
  /// Threads of a run that failed are left, in the middle of anything. They use
  /// every argument of `drive`: whoever called it must end the process with
  /// `_exit`, without destroying those or anything static.
  bool threads_left = false;
  /// The machines were there and the models had their places: there is something
  /// to look at, whatever came of it.
  bool begun = false;
};

/// Runs a job to its end: makes every actor of the driver, hands over to the
/// engine, waits, and cleans up. With `on_failure: restart` a run that failed
/// goes on from its last checkpoint: hosts and actors are ended, node and guard
/// stay, and everything else is made anew. After `process::hold_signals`: the
/// first signal ends the run in good order, the second at once.
[[nodiscard]] driven drive(const application& app,
                           const config::job_config& config,
                           const std::shared_ptr<data_source>& data,
                           const driver_settings& settings,
                           run_listener& listener);

} // namespace troupe::engine
