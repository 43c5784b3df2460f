// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/call/caller.hpp"
#include "troupe/actors/protocol/register.hpp"

namespace troupe::monitor {

/// Reacts to the first error of a job: has all communicators aborted at once,
/// collects what follows for a moment, and tells its subscribers the cause. The
/// job then stops.
class error_monitor : public protocol::error_monitor_actor::base {
public:
  /// Reports of one failure come from several processes: the one that names
  /// the cause may be a little later than those that name consequences.
  static constexpr std::chrono::milliseconds grace{250};

  error_monitor(caf::actor_config& config,
                std::vector<protocol::node_actor> nodes);

  const char* name() const override;

protected:
  behavior_type make_behavior() override;

private:
  std::vector<protocol::node_actor> nodes_;
  std::vector<protocol::error_report> reports_;
  std::optional<protocol::verdict> verdict_;
  std::vector<protocol::verdict_listener_actor> listeners_;
  call::caller<error_monitor> calls_;
};

} // namespace troupe::monitor
