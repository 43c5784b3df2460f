// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>

#include <caf/actor_system.hpp>

#include "troupe/actors/net/endpoint.hpp"
#include "troupe/actors/net/tls_identity.hpp"
#include "troupe/actors/net/tunnel.hpp"
#include "troupe/actors/protocol/register.hpp"
#include "troupe/core/deadline.hpp"

namespace troupe::engine {

/// A node that was taken for a job, and the way to it: without it the node ends
/// the job.
struct joined_node {
  protocol::joined answer;
  std::unique_ptr<net::tunnel> tunnel;
};

/// Takes nodes of other machines for a job.
///
/// Threads: any, side by side. Blocks.
class node_joiner {
public:
  /// Both outlive the object.
  node_joiner(caf::actor_system& system,
              const std::optional<net::tls_identity>& identity);

  /// Asks the node at `gate` once. Blocks for two seconds if nobody answers there,
  /// for a few more if the node does not. Fails with
  ///  - what `net::tunnel::open` fails with;
  ///  - `errc::lost`: it ended meanwhile;
  ///  - `errc::exhausted`: it works for a job;
  ///  - `errc::refused`, and what else the node says.
  [[nodiscard]] result<joined_node>
  try_join(const net::endpoint& gate, const protocol::join_job& request) const;

  /// Tries until a node that is busy, or that begins anew after another job, is
  /// free: for `join_max`. Where nobody listens at all it gives up earlier.
  [[nodiscard]] result<joined_node> join(const net::endpoint& gate,
                                         const protocol::join_job& request,
                                         duration join_max) const;

private:
  caf::actor_system& system_;
  const std::optional<net::tls_identity>& identity_;
};

} // namespace troupe::engine
