// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>

#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/call/bundle_book.hpp"
#include "troupe/actors/call/caller.hpp"
#include "troupe/actors/call/reply.hpp"
#include "troupe/actors/model/host_services.hpp"
#include "troupe/actors/model/weight_mover.hpp"
#include "troupe/actors/protocol/register.hpp"

namespace troupe::node {

using model::worker_threads;

/// The control actor of one host: makes workers, answers at any time what they
/// are doing, passes on what comes for several of them in one message, and can
/// abort their communicators while they are stuck in one.
class host : public protocol::host_actor::base {
public:
  /// `on_closed` runs once every worker has ended after a shut_down.
  host(caf::actor_config& config, model::host_services services,
       worker_threads threads, std::function<void()> on_closed);

  const char* name() const override;
  void on_exit() override;

protected:
  behavior_type make_behavior() override;

private:
  /// A worker that is to be made, and for whom.
  struct order {
    protocol::worker_spec spec;
    caf::actor starter;
    call::reply<protocol::started_worker> out;
  };

  struct slot {
    protocol::worker_actor actor;
    protocol::mover_actor mover;
    std::shared_ptr<model::worker_probe> probe;
    caf::actor_addr starter;
    /// Who takes the place once it is free.
    std::optional<order> next = std::nullopt;
  };

  /// Makes a worker. If one of its name lives here for somebody else, a replica
  /// that is no more, that one is closed first.
  void start(order x);

  [[nodiscard]] protocol::started_worker make(const order& x);

  /// The worker of this name has ended.
  void forget(const protocol::worker_name& name);

  [[nodiscard]] protocol::host_status status() const;

  void abort_all(const std::string& reason);

  /// Looks after the workers' communicators now, and later again. Where
  /// processes talk through sockets these say who is gone; a device's library
  /// says nothing unless it is asked.
  void check_groups();

  model::host_services services_;
  worker_threads threads_;
  std::function<void()> on_closed_;
  std::map<protocol::worker_name, slot> workers_;
  call::bundle_book bundles_;
  call::caller<host> calls_;
};

} // namespace troupe::node
