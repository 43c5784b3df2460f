// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/node/local_connection.hpp"

#include <caf/io/middleman.hpp>
#include <caf/scoped_actor.hpp>

#include "troupe/actors/protocol/errors.hpp"

namespace troupe::node {

result<caf::strong_actor_ptr>
connect_locally(caf::actor_system& system, std::uint16_t port,
                const std::set<std::string>& interface, deadline until) {
  caf::scoped_actor self{system};
  result<caf::strong_actor_ptr> out = fail(errc::internal, "no answer came");
  self
    ->request(system.middleman().actor_handle(), until.left_ms(),
              caf::connect_atom::value, std::string{"127.0.0.1"}, port)
    .receive(
      [&](const caf::node_id&, caf::strong_actor_ptr& x,
          const std::set<std::string>& has) {
        if (!x)
          out = fail(errc::unavailable, "nobody is published there");
        else if (!system.assignable(has, interface))
          out = fail(errc::refused, "it speaks another protocol");
        else
          out = std::move(x);
      },
      [&](const caf::error& x) { out = fail(protocol::from_caf(x)); });
  return out;
}

} // namespace troupe::node
