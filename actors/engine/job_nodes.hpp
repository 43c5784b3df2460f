// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/scoped_actor.hpp>

#include "troupe/actors/config/job_config.hpp"
#include "troupe/actors/engine/application.hpp"
#include "troupe/actors/engine/driver_settings.hpp"
#include "troupe/actors/engine/node_return.hpp"
#include "troupe/actors/engine/remote_machines.hpp"
#include "troupe/comm/inproc/hub.hpp"
#include "troupe/planner/cluster.hpp"

namespace troupe::node {
struct node_settings;
}

namespace troupe::engine {

/// The machines of a job and what the driver asks all of them: one node in the
/// driver's own process, or the nodes of other machines. Holds what they share
/// with the driver: its batch store and the ways to others.
///
/// Threads: the driver's, but for the store. Blocks. Outlives the actor system's
/// actors.
class job_nodes {
public:
  /// All arguments outlive the object.
  job_nodes(const application& app, const config::job_config& config,
            const driver_settings& settings);

  job_nodes(const job_nodes&) = delete;
  job_nodes& operator=(const job_nodes&) = delete;

  /// The driver's batches.
  [[nodiscard]] process::batch_store& store() noexcept { return store_; }

  /// Starts the node here, or takes those of other machines. `errors` hears
  /// from them.
  [[nodiscard]] result<void> start(caf::actor_system& system,
                                   const protocol::error_signal_actor& errors);

  /// By node id. One that was taken anew is another actor.
  [[nodiscard]] const std::vector<protocol::node_actor>& all() const noexcept {
    return nodes_;
  }

  /// Notes the machines for people who look for a run's logs.
  void write_down() const;

  /// The node is an actor of this process, for the driver to end.
  [[nodiscard]] bool local() const noexcept { return !machines_; }

  [[nodiscard]] const planner::cluster& cluster() const noexcept {
    return cluster_;
  }

  /// Cores for each host, of the machine that has fewest.
  [[nodiscard]] std::int32_t threads_per_host() const;

  /// Of those that answer.
  [[nodiscard]] std::vector<protocol::node_status>
  statuses(caf::scoped_actor& self);

  /// Ends all hosts, so that another attempt can begin. A machine that was lost
  /// is waited for (`runtime.node_return_ms`) and taken anew. Fails if one cannot
  /// be had, or as `await_return`.
  [[nodiscard]] result<void> begin_anew(caf::scoped_actor& self,
                                        const node_patience& patience);

  /// Kills one host and waits until it is gone. Errors: as end_hosts.
  [[nodiscard]] result<void> end_host(caf::scoped_actor& self, node_id node,
                                      std::int32_t slot);

  /// A machine has ended or fallen silent.
  [[nodiscard]] bool any_lost() const noexcept;

  /// Ends the job on all machines that can be reached, within the time.
  void close(caf::scoped_actor& self, std::chrono::milliseconds timeout);

private:
  [[nodiscard]] result<void>
  start_here(caf::actor_system& system,
             const protocol::error_signal_actor& errors);
  [[nodiscard]] result<void>
  start_guarded(caf::actor_system& system, const node::node_settings& x,
                const protocol::error_signal_actor& errors);
  [[nodiscard]] result<void> join(caf::actor_system& system,
                                  const protocol::error_signal_actor& errors);

  /// Waits for a machine that was lost, and takes it anew.
  [[nodiscard]] result<void>
  bring_back(std::size_t node, const node_patience& patience, deadline until);

  /// Asks all nodes at once; the answers stand in their order. One that is
  /// known to be lost is not waited for.
  template <class Reply, class Message>
  std::vector<result<Reply>> ask_all(caf::scoped_actor& self,
                                     std::chrono::milliseconds timeout,
                                     const Message& message);

  const application& app_;
  const config::job_config& config_;
  const driver_settings& settings_;
  process::peer_mesh mesh_;
  node::remote_batches batches_;
  process::batch_store store_;
  comm::inproc::hub hub_;
  std::unique_ptr<remote_machines> machines_;
  std::vector<protocol::node_actor> nodes_;
  planner::cluster cluster_;
};

} // namespace troupe::engine
