// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/call/caller.hpp"
#include "troupe/actors/call/device_lease.hpp"
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

  /// A replica: where it belongs, and its actor once it is made.
  struct member {
    std::vector<protocol::rank_seat> seats;
    protocol::replica_actor actor = {};
    /// The devices that its hosts work on, once they are known.
    std::set<std::string> devices = {};
    /// Added since the last call.
    bool on_trial = false;
  };

  // -- members ----------------------------------------------------------------

  void set_up(milliseconds timeout, continuation<protocol::manifests> done);

  /// Has the nodes make the replicas that do not exist yet. Those that share
  /// another machine are asked through its node from now on.
  void make_replicas(milliseconds timeout, continuation<protocol::ack> done);

  /// Makes and sets up those, and lets them load if `load` names a directory.
  void make_ready(const std::vector<replica_id>& ids,
                  const protocol::run_checkpoint& load, call::lease_turn turn,
                  continuation<protocol::manifests> done);

  /// Has those that are made start their ranks, and notes their devices.
  void start_ranks(const std::vector<replica_id>& ids, milliseconds timeout,
                   continuation<protocol::ack> done);

  void repair(const protocol::repair_model& request,
              continuation<protocol::repaired> done);

  /// The first half: those that have all their ranks join them anew.
  void rejoin(const protocol::repair_model& request, call::device_lease lease,
              continuation<protocol::repaired> done);

  /// The second half: these are lost.
  void replace(const protocol::repair_model& request,
               std::vector<replica_id> lost, protocol::repaired kept,
               continuation<protocol::repaired> done);

  void change(const protocol::change_replicas& request,
              continuation<protocol::manifests> done);

  [[nodiscard]] result<void>
  check(const protocol::change_replicas& request) const;

  /// Ends a replica whose workers need not be asked.
  void end_now(replica_id id);

  /// That, and it does not come back.
  void leave_out(replica_id id);

  [[nodiscard]] std::vector<replica_id> ids() const;
  [[nodiscard]] bool ready() const;

  /// An answer that comes too late, because of a repair since `era`.
  [[nodiscard]] result<void> check_era(std::uint64_t era) const;
  [[nodiscard]] protocol::replica_spec spec_of(replica_id id) const;

  // -- asking -----------------------------------------------------------------

  /// Keeps `lease` until no rank of a replica that has answered so is at work
  /// any more; `timeout` bounds that.
  template <class Reply>
  void keep_while_busy(const call::device_lease& lease,
                       const protocol::replica_actor& whom,
                       milliseconds timeout, const result<Reply>& answer);

  /// Asks these replicas the same. `lease` is kept until none is at it any more.
  template <class Reply, class Message>
  void ask_these(const std::vector<replica_id>& ids, milliseconds timeout,
                 const Message& message, continuation<std::vector<Reply>> done,
                 const call::device_lease& lease = {});

  /// Asks every replica the same.
  template <class Reply, class Message>
  void ask_all(milliseconds timeout, const Message& message,
               continuation<std::vector<Reply>> done);

  /// Hands each replica its items. Without a lease: a sync asks that has one.
  template <class Reply, class Request>
  void relay(const Request& request, continuation<Reply> done);

  /// Once the devices are ours that the ranks of a replica talk between.
  void invoke(const protocol::invoke& request,
              continuation<protocol::invoked> done);
  /// `lease` is kept until no replica is at it any more.
  void invoke_now(const protocol::invoke& request, call::device_lease lease,
                  continuation<protocol::invoked> done);

  void load(const protocol::run_checkpoint& request,
            continuation<protocol::ack> done);

  /// What is left of a request's time once its devices are there.
  struct turn {
    call::device_lease devices;
    std::uint32_t timeout_ms = 0;
  };

  /// Waits for the devices between which the ranks of these replicas talk.
  /// Errors: timed_out, lost, and aborted if the model was repaired meanwhile.
  void await_devices(const std::vector<replica_id>& whose,
                     call::lease_turn where, std::uint32_t timeout_ms,
                     continuation<turn> done);

  /// The devices of those that have several: whose ranks talk to each other
  /// through them, whatever their modules keep there.
  [[nodiscard]] std::vector<std::string>
  joined_devices(const std::vector<replica_id>& whose) const;

  model_job job_;
  model_surroundings around_;
  std::map<replica_id, member> members_;
  /// How often it was repaired: what was begun before is given up.
  std::uint64_t era_ = 0;
  call::caller<dist_model> calls_;
};

} // namespace troupe::model
