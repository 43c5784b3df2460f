// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/call/reply.hpp"
#include "troupe/actors/model/scribe.hpp"
#include "troupe/actors/model/worker_state.hpp"
#include "troupe/actors/model/worker_threads.hpp"
#include "troupe/actors/protocol/register.hpp"

namespace troupe::model {

/// The actor of one rank: a thin shell over worker_state. Its handlers block
/// while the module computes, so a host spawns it detached; scheduler tests
/// spawn it like any other.
class worker : public protocol::worker_actor::base {
public:
  worker(caf::actor_config& config, protocol::worker_spec spec,
         host_services services, std::shared_ptr<worker_probe> probe,
         worker_threads threads = worker_threads::shared);

  const char* name() const override;
  void on_exit() override;

protected:
  behavior_type make_behavior() override;

private:
  /// A call that waits until no sync reads the weights (WS-6).
  struct waiting_call {
    protocol::invoke request;
    call::reply<protocol::invoked> out;
    deadline until;
  };

  void invoke(const protocol::invoke& request,
              const call::reply<protocol::invoked>& out);

  /// Saves or loads; what is saved is written by the scribe.
  caf::result<protocol::ack> run(const protocol::run_checkpoint& request);

  [[nodiscard]] result<protocol::manifests>
  rejoin(const protocol::rejoin& request);

  /// Runs the calls that waited, in order.
  void run_waiting();

  std::unique_ptr<worker_state> state_;
  worker_threads threads_;
  /// Null until something is saved.
  scribe_actor scribe_;
  std::vector<waiting_call> waiting_;
};

} // namespace troupe::model
