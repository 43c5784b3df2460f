// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include <caf/actor_control_block.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/net/endpoint.hpp"
#include "troupe/actors/net/tunnel.hpp"
#include "troupe/actors/protocol/register.hpp"

namespace troupe::node {

/// A process of another machine, and how long it may take to reach it. Stays in
/// its process.
struct open_way {
  net::endpoint gate;
  /// See `net::tunnel::open`.
  const net::tls_identity* identity = nullptr;
  std::int32_t slot = 0;
  std::uint32_t timeout_ms = 0;
};

/// The way, and who is at its end.
struct way {
  std::shared_ptr<net::tunnel> tunnel;
  caf::strong_actor_ptr found;
};

/// Opens one way, which blocks, and ends: detached, one for each.
using connector_actor = caf::typed_actor<caf::replies_to<open_way>::with<way>>;

class connector : public connector_actor::base {
public:
  using connector_actor::base::base;

  const char* name() const override;

protected:
  behavior_type make_behavior() override;
};

} // namespace troupe::node

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::node::open_way)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::node::way)
