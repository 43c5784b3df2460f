// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/call/caller.hpp"
#include "troupe/actors/protocol/register.hpp"

namespace troupe::monitor {

/// Reacts to the first error of a job: has all communicators aborted at once,
/// collects what follows for a moment, and tells its subscribers the cause. The
/// job then stops.
///
/// What an earlier attempt asked for may fail after it has ended (a replica
/// that is no more hears of its workers late): such a report is recorded, but
/// is no failure of this attempt.
class error_monitor : public protocol::error_monitor_actor::base {
public:
  /// Reports of one failure come from several processes: the one that names
  /// the cause may be a little later than those that name consequences.
  static constexpr std::chrono::milliseconds grace{250};

  /// How many more times to wait that long while no report names a cause: on a
  /// busy machine the guard's word on a dead process comes after those of all
  /// who missed it.
  static constexpr int more_graces = 4;

  /// Of one failure; more would not change the verdict.
  static constexpr std::size_t reports_max = 10'000;

  /// `attempt` as in error_report.
  error_monitor(caf::actor_config& config,
                std::vector<protocol::node_actor> nodes,
                std::uint32_t attempt = 0);

  const char* name() const override;
  void on_exit() override;

protected:
  behavior_type make_behavior() override;

private:
  void hear(const protocol::error_report& x);

  std::vector<protocol::node_actor> nodes_;
  std::uint32_t attempt_;
  std::vector<protocol::error_report> reports_;
  int graces_left_ = more_graces;
  std::optional<protocol::verdict> verdict_;
  std::vector<protocol::verdict_listener_actor> listeners_;
  call::caller<error_monitor> calls_;
};

} // namespace troupe::monitor
