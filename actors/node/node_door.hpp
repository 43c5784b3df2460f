// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/protocol/register.hpp"

namespace troupe::node {

/// What a driver meets first: checks who it is, and lets one job in. The node
/// behind it is made when a job has come, and the process ends with that job,
/// so that nothing of one job can meet another.
class node_door : public protocol::node_door_actor::base {
public:
  /// Makes the node for a job that was let in. Runs on the door's thread.
  using opener = std::function<result<protocol::joined>(
    const protocol::join_job&)>;

  node_door(caf::actor_config& config, opener open);

  const char* name() const override;
  void on_exit() override;

protected:
  behavior_type make_behavior() override;

private:
  [[nodiscard]] result<protocol::joined> join(const protocol::join_job& x);

  opener open_;
  std::string job_;
  protocol::node_actor node_;
};

} // namespace troupe::node
