// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/engine/run_listener.hpp"
#include "troupe/actors/protocol/register.hpp"

namespace troupe::engine {

/// Hands every report of the error_signal to the run's listener.
class error_follower : public protocol::error_listener_actor::base {
public:
  /// `listener` outlives the actor.
  error_follower(caf::actor_config& config, run_listener* listener);

  const char* name() const override;

protected:
  behavior_type make_behavior() override;

private:
  run_listener* listener_;
};

} // namespace troupe::engine
