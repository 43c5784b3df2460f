// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/call/caller.hpp"
#include "troupe/actors/call/reply.hpp"
#include "troupe/actors/model/model_job.hpp"
#include "troupe/actors/protocol/register.hpp"

namespace troupe::model {

/// The actor of a model: makes its replicas, splits the rows of a call over
/// them and joins what comes back, in order. What an application talks to.
class dist_model : public protocol::dist_model_actor::base {
public:
  dist_model(caf::actor_config& config, model_job job,
             model_surroundings around);

  const char* name() const override;

protected:
  behavior_type make_behavior() override;

private:
  using milliseconds = std::chrono::milliseconds;

  template <class T>
  using continuation = std::function<void(result<T>)>;

  void set_up(milliseconds timeout, continuation<protocol::manifests> done);

  /// Has the nodes make the replicas that do not exist yet.
  void make_replicas(milliseconds timeout, continuation<protocol::ack> done);

  [[nodiscard]] protocol::replica_spec spec_of(std::size_t replica) const;

  /// Asks every replica the same.
  template <class Reply, class Message>
  void ask_all(milliseconds timeout, const Message& message,
               continuation<std::vector<Reply>> done);

  /// Hands each replica its items.
  template <class Reply, class Request>
  void relay(const Request& request, continuation<Reply> done);

  void invoke(const protocol::invoke& request,
              continuation<protocol::invoked> done);

  model_job job_;
  model_surroundings around_;
  std::vector<protocol::replica_actor> replicas_;
  call::caller<dist_model> calls_;
};

} // namespace troupe::model
