// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <string_view>

#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"

namespace troupe::engine {

/// How whoever waits for a machine to come back spends the time.
struct node_patience {
  /// Lets it pass; false if somebody wants the run to end meanwhile.
  std::function<bool(std::chrono::milliseconds)> pause;
  /// Tells people how it stands.
  std::function<void(std::string_view)> say;
};

/// Calls `attempt` until it succeeds: at once, and then again and again, saying
/// every ten seconds for whom it waits (`who`) and how long still. Returns the
/// attempt's error if time does not mend it (it names the machine that refused),
/// or once `until` has passed, and `errc::aborted` if `pause` says so.
[[nodiscard]] result<void>
await_return(std::string_view who, const std::function<result<void>()>& attempt,
             const node_patience& patience, deadline until);

} // namespace troupe::engine
