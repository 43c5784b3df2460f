// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/call/caller.hpp"
#include "troupe/actors/call/reply.hpp"
#include "troupe/actors/node/connector.hpp"

namespace troupe::node {

/// The other machines of a job, as one process knows them.
struct neighbourhood {
  std::string job;
  /// Of nodes 0, 1, ...
  std::vector<net::endpoint> gates;
  /// Null without TLS; outlives the actor.
  const net::tls_identity* identity = nullptr;
};

/// Connects to nodes and hosts of other machines, each once: handles then come
/// from a connection of our own, so that their end is noticed. Many may ask for
/// the same one; ways are opened side by side, so that an address that swallows
/// packets delays nobody else.
class neighbours : public protocol::neighbours_actor::base {
public:
  neighbours(caf::actor_config& config, neighbourhood around);

  const char* name() const override;
  void on_exit() override;

protected:
  behavior_type make_behavior() override;

private:
  using milliseconds = std::chrono::milliseconds;

  /// Node and host 0 of life 0: the node itself.
  using key = protocol::host_name;

  struct entry {
    std::shared_ptr<net::tunnel> tunnel;
    caf::strong_actor_ptr found;
    std::vector<std::function<void(const result<caf::strong_actor_ptr>&)>>
      waiting;
  };

  void find(const key& whom, milliseconds timeout,
            std::function<void(const result<caf::strong_actor_ptr>&)> done);

  void settle(const key& whom, const result<caf::strong_actor_ptr>& found);

  /// Behind a node's door is the node.
  void knock(const key& whom, const caf::strong_actor_ptr& door,
             milliseconds timeout);

  neighbourhood around_;
  std::map<key, entry> entries_;
  call::caller<neighbours> calls_;
};

} // namespace troupe::node
