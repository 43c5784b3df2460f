// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include <caf/actor_cast.hpp>
#include <caf/actor_control_block.hpp>
#include <caf/actor_system.hpp>

#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"

namespace troupe::node {

/// The actor that is published at a port of 127.0.0.1, which may be the end of a
/// tunnel. `interface` is what it has to understand. Blocks until the deadline
/// at most: CAF's own function waits for ever for a peer that accepts and says
/// nothing. Fails with `errc::unavailable`, `errc::timed_out` or, if somebody
/// else listens there, `errc::refused`.
[[nodiscard]] result<caf::strong_actor_ptr>
connect_locally(caf::actor_system& system, std::uint16_t port,
                const std::set<std::string>& interface, deadline until);

/// The same for a typed actor.
template <class Handle>
[[nodiscard]] result<Handle>
connect_locally(caf::actor_system& system, std::uint16_t port, deadline until) {
  auto found = connect_locally(system, port,
                               system.message_types(
                                 caf::detail::type_list<Handle>{}),
                               until);
  if (!found)
    return fail(found.error());
  return caf::actor_cast<Handle>(*found);
}

} // namespace troupe::node
