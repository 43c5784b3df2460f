// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/protocol/register.hpp"

namespace troupe::engine {

/// Hands every report of the error_signal to a function. Reports that it was
/// too slow for become a warning that says how many they were.
class error_follower : public protocol::error_listener_actor::base {
public:
  using function = std::function<void(const protocol::error_report&)>;

  /// `f` runs on the actor; what it throws is logged.
  error_follower(caf::actor_config& config, function f);

  const char* name() const override;

protected:
  behavior_type make_behavior() override;

private:
  void tell(const protocol::error_report& x) const;

  function f_;
};

} // namespace troupe::engine
