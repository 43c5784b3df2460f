// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <caf/actor_clock.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/call/caller.hpp"
#include "troupe/actors/call/reply.hpp"
#include "troupe/actors/protocol/monitor.hpp"
#include "troupe/actors/protocol/register.hpp"
#include "troupe/planner/parallel_layout.hpp"

namespace troupe::model {

/// Whom a replica talks to besides its workers.
struct replica_surroundings {
  node_id here;
  protocol::node_actor node;
  /// Null if there is no other machine.
  protocol::neighbours_actor others;
  protocol::error_signal_actor errors;
  /// Hosts are other processes.
  bool far_hosts = false;
};

/// The actor of one copy of a model: makes its workers where the plan says,
/// joins them, and hands each its share of every request.
///
/// It is the one that names failures: an error of a worker is reported to the
/// error_signal with model, replica, rank and operation before it is passed on;
/// what may be missing memory only if the trial fails (`transfer::on_trial`).
class replica : public protocol::replica_actor::base {
public:
  /// Ends with `owner`.
  replica(caf::actor_config& config, protocol::replica_spec spec,
          replica_surroundings around, protocol::dist_model_actor owner);

  const char* name() const override;
  void on_exit() override;

protected:
  behavior_type make_behavior() override;

private:
  using milliseconds = std::chrono::milliseconds;

  template <class T>
  using continuation = std::function<void(result<T>)>;

  [[nodiscard]] std::size_t world() const noexcept;
  [[nodiscard]] protocol::worker_name worker_name(std::size_t rank) const;
  [[nodiscard]] protocol::worker_spec worker_spec(std::size_t rank) const;

  // -- set-up, step by step ---------------------------------------------------

  /// Makes the workers, unless they are there.
  void start(milliseconds timeout, continuation<protocol::ack> done);
  void set_up(milliseconds timeout, continuation<protocol::manifests> done);
  void start_worker(std::size_t rank, milliseconds timeout,
                    continuation<protocol::ack> done);
  void reach_node(node_id node, milliseconds timeout,
                  continuation<protocol::node_actor> done);
  void acquire_host(const protocol::node_actor& node, std::size_t rank,
                    milliseconds timeout, continuation<protocol::ack> done);
  void reach_host(protocol::acquired_host found, milliseconds timeout,
                  continuation<protocol::acquired_host> done);
  void make_worker(std::size_t rank, milliseconds timeout,
                   continuation<protocol::ack> done);
  void join_ranks(milliseconds timeout, continuation<protocol::ack> done);

  /// Ranks that share another machine are asked through its node, ranks that
  /// share a host through that.
  void find_routes();

  // -- after a failure elsewhere ----------------------------------------------

  /// Joins the ranks anew if all are there. That one is not is no error of this
  /// replica: it has been reported.
  void rejoin(const protocol::rejoin& request,
              continuation<protocol::manifests> done);

  /// Saves what the ranks that are left know of the lost ones.
  void save_by_peers(const protocol::run_checkpoint& request,
                     continuation<protocol::ack> done);

  /// The lost ranks all have a data-parallel peer that is not.
  [[nodiscard]] result<void>
  check_peers(const std::vector<std::size_t>& lost) const;

  // -- asking workers ---------------------------------------------------------

  /// What went wrong while something is only tried; no failure of the job yet.
  struct trial {
    std::uint32_t links = 0;
    std::vector<protocol::error_report> held_back;
    /// It has failed for good; what comes late is told at once.
    bool over = false;
  };

  /// What ranks were asked together, and who has not answered.
  struct round {
    std::string operation;
    std::uint64_t era = 0;
    caf::actor_clock::time_point since;
    std::set<std::size_t> missing;
    /// Somebody gave another reason than having waited in vain, or has been
    /// named.
    bool explained = false;
    /// Null unless it is a transfer on trial.
    std::shared_ptr<trial> tried = {};
  };

  using round_ptr = std::shared_ptr<round>;

  [[nodiscard]] round_ptr begin_round(std::string operation);

  /// Hears why a rank has not done its part.
  void note_failure(const round_ptr& asked, const error& why);

  /// A rank has given up waiting for others: a little later, reports the one
  /// that is still at it, if it is only one and nobody knows better. Who hangs
  /// says nothing; all that is known of it is that others waited.
  void look_for_hanging(const round_ptr& asked);

  /// Asks a rank's worker or mover and reports its error.
  template <class Reply, class Handle, class Message>
  void ask_one(const Handle& target, std::size_t rank, const round_ptr& asked,
               milliseconds timeout, Message message, continuation<Reply> done);

  /// Asks one rank's worker.
  template <class Reply, class Message>
  void ask(std::size_t rank, const round_ptr& asked, milliseconds timeout,
           Message message, continuation<Reply> done);

  /// Asks every rank the same.
  template <class Reply, class Message>
  void ask_all(const std::string& operation, milliseconds timeout,
               const Message& message, continuation<std::vector<Reply>> done);

  /// Hands each rank its items; `targets` are the ranks' workers or movers.
  template <class Reply, class Handle, class Request>
  void relay_to(const std::vector<Handle>& targets, const round_ptr& asked,
                const Request& request, continuation<Reply> done);

  /// Hands each rank's worker its items.
  template <class Reply, class Request>
  void relay(const std::string& operation, const Request& request,
             continuation<Reply> done);

  void invoke(const protocol::invoke& request,
              continuation<protocol::invoked> done);

  /// Answers once no rank may be talking to another any more.
  void await_ranks(call::reply<protocol::ack> out);

  /// Fetches what is missing of the ranks' manifests.
  void complete_all(protocol::manifests told, milliseconds timeout,
                    continuation<protocol::manifests> done);

  /// Asks a rank for the rest of a manifest that was too long for one message.
  void complete(protocol::worker_manifest manifest, milliseconds timeout,
                continuation<protocol::manifests> done);

  /// Each rank's share goes to its mover.
  void transfer(const protocol::transfer& request,
                continuation<protocol::transfer_reports> done);

  /// What every rank is doing, told by their hosts.
  void get_operations(milliseconds timeout,
                      continuation<protocol::operations> done);

  // -- naming failures --------------------------------------------------------

  [[nodiscard]] protocol::error_report report_of(std::size_t rank,
                                                 const std::string& operation,
                                                 const error& what) const;
  void tell(protocol::error_report x);
  /// Tells the error_signal and returns it with the rank's name.
  [[nodiscard]] error report(std::size_t rank, const std::string& operation,
                             const error& what);
  /// Or holds it back, if the round is on trial.
  [[nodiscard]] error report(std::size_t rank, const round& asked,
                             const error& what);

  /// That of this generation of links.
  [[nodiscard]] std::shared_ptr<trial>
  begin_trial(const protocol::transfer& request);

  /// The trial has failed for good.
  void own_up(const std::string& sync);

  protocol::replica_spec spec_;
  replica_surroundings around_;
  planner::parallel_layout layout_;
  std::vector<protocol::worker_actor> workers_;
  std::vector<protocol::mover_actor> movers_;
  std::vector<protocol::host_actor> controls_;
  std::vector<protocol::host_name> hosts_;
  /// The hosts' devices.
  std::vector<std::string> devices_;
  bool started_ = false;
  /// Of the ranks' machines, as far as they are known.
  std::map<node_id, protocol::node_actor> nodes_;
  bool closing_ = false;
  /// By program; the last of each.
  std::map<std::string, std::shared_ptr<trial>> trials_;
  /// How often the ranks were joined anew.
  std::uint64_t era_ = 0;
  /// What ranks were asked and may talk in and have not answered; without what
  /// a rejoin asks them first: nobody talks before all have answered that.
  std::size_t owed_ = 0;
  /// Told when nothing is owed any more.
  std::vector<call::reply<protocol::ack>> waiting_;
  call::caller<replica> calls_;
};

} // namespace troupe::model
