// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/node/port_manager.hpp"

namespace troupe::node {

port_manager::port_manager(caf::actor_config& config,
                           process::port_manager ports)
  : protocol::port_manager_actor::base(config),
    ports_(std::move(ports)) {
  // nop
}

const char* port_manager::name() const {
  return "port_manager";
}

port_manager::behavior_type port_manager::make_behavior() {
  using namespace protocol;
  return {
    [this](const reserve_port& x) -> caf::result<reserved_port> {
      auto port = ports_.take();
      if (!port)
        return to_caf(port.error());
      reserved_port reply{port->port};
      held_.emplace(x.owner, std::move(*port));
      return reply;
    },
    [this](const release_ports& x) { held_.erase(x.owner); },
  };
}

} // namespace troupe::node
