// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/process/port_manager.hpp"
#include "troupe/actors/protocol/register.hpp"

namespace troupe::node {

/// Hands out ports of this machine. A port stays bound here, so that nobody
/// else is given it, until its owner releases it.
class port_manager : public protocol::port_manager_actor::base {
public:
  port_manager(caf::actor_config& config, process::port_manager ports);

  const char* name() const override;

protected:
  behavior_type make_behavior() override;

private:
  process::port_manager ports_;
  std::multimap<std::string, process::held_port> held_;
};

} // namespace troupe::node
