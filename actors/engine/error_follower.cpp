// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/error_follower.hpp"

namespace troupe::engine {

error_follower::error_follower(caf::actor_config& config,
                               run_listener* listener)
  : protocol::error_listener_actor::base(config),
    listener_(listener) {
  // nop
}

const char* error_follower::name() const {
  return "error_follower";
}

error_follower::behavior_type error_follower::make_behavior() {
  return {
    [this](const protocol::error_report& x) { listener_->on_error(x); },
  };
}

} // namespace troupe::engine
