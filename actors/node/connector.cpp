// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/node/connector.hpp"

#include <caf/io/middleman.hpp>

#include "troupe/actors/node/local_connection.hpp"
#include "troupe/actors/process/host_types.hpp"

namespace troupe::node {

namespace {

result<way> open(caf::actor_system& system, const open_way& x, deadline until) {
  auto opened = net::tunnel::open(x.gate, x.identity, x.slot, until);
  if (!opened)
    return fail(opened.error());
  way out;
  out.tunnel = std::move(*opened);
  auto port = out.tunnel->local_port();
  auto keep = [&](auto found) -> result<way> {
    if (!found)
      return fail(found.error());
    out.found = caf::actor_cast<caf::strong_actor_ptr>(*found);
    return out;
  };
  if (x.slot == process::node_slot)
    return keep(
      connect_locally<protocol::node_door_actor>(system, port, until));
  return keep(connect_locally<protocol::host_actor>(system, port, until));
}

} // namespace

const char* connector::name() const {
  return "connector";
}

connector::behavior_type connector::make_behavior() {
  return {
    [this](const open_way& x) -> caf::result<way> {
      quit();
      auto until = deadline::after(std::chrono::milliseconds{x.timeout_ms});
      auto opened = open(system(), x, until);
      // However many of CAF's ticks the other side sleeps through.
      while (!opened && protocol::is_dropped_early(opened.error())
             && !until.passed())
        opened = open(system(), x, until);
      if (!opened)
        return protocol::to_caf(opened.error());
      return *opened;
    },
  };
}

} // namespace troupe::node
