// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <vector>

#include <caf/actor.hpp>
#include <caf/actor_addr.hpp>
#include <caf/message.hpp>

#include "troupe/actors/protocol/bundle.hpp"
#include "troupe/core/error.hpp"

namespace troupe::call {

/// The requests of one actor that go through others: the way to each target,
/// and what waits to leave together. A member of `caller`; one thread.
class outbox {
public:
  /// Gets the answer to one request.
  using taker = std::function<void(result<caf::message>)>;

  /// What leaves for one next hop.
  struct departure {
    caf::actor next;
    protocol::bundle bundle;
    /// By index in the bundle.
    std::vector<taker> takers;
  };

  /// From now on `target` is asked through these, the next hop first; without
  /// any, directly.
  void route(const caf::actor_addr& target, std::vector<caf::actor> via);

  /// Nullptr: the target is asked directly.
  [[nodiscard]] const std::vector<caf::actor>*
  route_to(const caf::actor_addr& target) const;

  /// The target has ended.
  void forget(const caf::actor_addr& target) { routes_.erase(target); }

  /// Adds a request to what leaves for the first of `x.via`, which must not be
  /// empty.
  void add(protocol::parcel x, taker take);

  /// Until as many calls of `release`, everything waits.
  void hold() { ++held_; }

  void release() { --held_; }

  /// Gives up all that waits, in the order of the hops' addresses; nothing
  /// while it is held.
  [[nodiscard]] std::vector<departure> leave();

  /// Drops everything. Takers are destroyed, not called.
  void clear();

private:
  std::map<caf::actor_addr, std::vector<caf::actor>> routes_;
  /// By next hop.
  std::map<caf::actor_addr, departure> waiting_;
  std::size_t held_ = 0;
};

} // namespace troupe::call
