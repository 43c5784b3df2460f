// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>

#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/call/caller.hpp"
#include "troupe/actors/call/reply.hpp"
#include "troupe/actors/model/host_services.hpp"
#include "troupe/actors/model/weight_mover.hpp"
#include "troupe/actors/protocol/register.hpp"

namespace troupe::node {

using model::worker_threads;

/// The control actor of one host: makes workers, answers at any time what they
/// are doing, and can abort their communicators while they are stuck in one.
class host : public protocol::host_actor::base {
public:
  /// `on_closed` runs once every worker has ended after a shut_down.
  host(caf::actor_config& config, model::host_services services,
       worker_threads threads, std::function<void()> on_closed);

  const char* name() const override;

protected:
  behavior_type make_behavior() override;

private:
  struct slot {
    protocol::worker_actor actor;
    protocol::mover_actor mover;
    std::shared_ptr<model::worker_probe> probe;
  };

  [[nodiscard]] caf::result<protocol::started_worker>
  start(const protocol::start_worker& request);

  [[nodiscard]] protocol::host_status status() const;

  void abort_all(const std::string& reason);

  model::host_services services_;
  worker_threads threads_;
  std::function<void()> on_closed_;
  std::map<protocol::worker_name, slot> workers_;
  call::caller<host> calls_;
};

} // namespace troupe::node
