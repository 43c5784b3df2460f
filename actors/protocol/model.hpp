// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include "troupe/actors/process/batch_ref.hpp"
#include "troupe/actors/protocol/names.hpp"
#include "troupe/actors/protocol/weights.hpp"
#include "troupe/actors/protocol/wire.hpp"

// What dist_model, replica and worker answer. The three speak one language:
// each hop cuts a request into the shares of those below it, asks them all at
// once, and joins their answers. Every request carries its own deadline;
// errors are caf::errors of the category "troupe" (errors.hpp).

namespace troupe::protocol {

// -- set-up --------------------------------------------------------------------

/// Creates the processes and workers of a replica. They do not talk to each
/// other yet: whoever lets them must know first between which devices.
/// Sender: dist_model. Answer: started_ranks. Errors: exhausted, lost,
/// timed_out.
struct start_ranks {
  std::uint32_t timeout_ms = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, start_ranks& x) {
    return f(x.timeout_ms);
  }
};

struct started_ranks {
  /// In rank order: the UUID of the device that the rank's host works on; empty
  /// if it has none.
  std::vector<std::string> devices;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 started_ranks& x) {
    return f(x.devices);
  }
};

/// Waits until every rank has answered what it may talk to others in, or its
/// time is over: a replica answers with its first failure, while other ranks may
/// still be in a collective with the one that failed. Sender: dist_model.
/// Answer: ack.
struct await_ranks {
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, await_ranks&) {
    return f();
  }
};

/// Makes the modules ready: creates the processes and workers (dist_model, and
/// replica if it was not told to before), joins the ranks of each replica, runs
/// `module::setup`. Sender: engine. Answer: manifests of every rank.
/// Errors: exhausted, lost, timed_out, failed (the module threw).
struct set_up {
  std::uint32_t timeout_ms = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, set_up& x) {
    return f(x.timeout_ms);
  }
};

// -- groups --------------------------------------------------------------------

enum class seat_kind : std::uint8_t {
  /// A rank of a communicator.
  member,
  /// The ends of a link: a group of two, rank 0 sends and rank 1 receives.
  sender,
  receiver,
};

/// One worker's seat in a communicator or link that is about to be built.
struct group_seat {
  worker_name to;
  /// Unique in the job, e.g. `"policy/0/world#1"`.
  std::string group;
  /// A folder of comm/: `"inproc"`, `"shm"` (links only), `"gloo"`.
  std::string backend;
  seat_kind kind = seat_kind::member;
  rank_id rank;
  std::int32_t size = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, group_seat& x) {
    return f(x.to, x.group, x.backend, x.kind, x.rank, x.size);
  }
};

/// Rendezvous, first step: every seat makes its endpoint.
/// Sender: replica (its own ranks), sync_group. Answer: group_addresses.
struct open_groups {
  std::vector<group_seat> items;
  std::uint32_t timeout_ms = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, open_groups& x) {
    return f(x.items, x.timeout_ms);
  }
};

struct group_address {
  worker_name from;
  std::string group;
  rank_id rank;
  payload address;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 group_address& x) {
    return f(x.from, x.group, x.rank, x.address);
  }
};

struct group_addresses {
  std::vector<group_address> items;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 group_addresses& x) {
    return f(x.items);
  }
};

struct group_connection {
  worker_name to;
  std::string group;
  /// In rank order.
  std::vector<payload> addresses;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 group_connection& x) {
    return f(x.to, x.group, x.addresses);
  }
};

/// Rendezvous, second step: every seat connects to the others. Blocks the
/// worker until its groups stand. Answer: ack.
struct connect_groups {
  std::vector<group_connection> items;
  std::uint32_t timeout_ms = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 connect_groups& x) {
    return f(x.items, x.timeout_ms);
  }
};

struct group_exit {
  worker_name to;
  std::string group;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, group_exit& x) {
    return f(x.to, x.group);
  }
};

/// Leaves and frees groups; one that is not there is no error. Answer: ack.
struct close_groups {
  std::vector<group_exit> items;
  std::uint32_t timeout_ms = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 close_groups& x) {
    return f(x.items, x.timeout_ms);
  }
};

// -- calls ---------------------------------------------------------------------

/// Calls a module function. dist_model splits the rows over its replicas, a
/// replica over its data-parallel ranks; the other ranks of a replica see the
/// same rows. An input without rows goes to everybody as it is.
/// Sender: engine, applications. Answer: invoked.
/// Errors: invalid (no such function), unavailable (fenced by a sync), lost,
/// timed_out, failed.
struct invoke {
  std::string function;
  process::batch_ref input;
  /// Results live until this scope is released (storage).
  std::uint64_t scope = 0;
  std::uint32_t timeout_ms = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, invoke& x) {
    return f(x.function, x.input, x.scope, x.timeout_ms);
  }
};

/// How long one rank was busy with a call.
struct rank_time {
  worker_name rank;
  /// Its pipeline stage: ranks of one stage do the same work.
  std::int32_t stage = 0;
  /// Inside the function, without collectives and point-to-point operations:
  /// who waits there waits for others.
  std::uint64_t own_us = 0;
  /// In those.
  std::uint64_t group_us = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, rank_time& x) {
    return f(x.rank, x.stage, x.own_us, x.group_us);
  }
};

struct invoked {
  process::batch_ref output;
  /// The weights that made the output: the lowest version of all replicas.
  weight_version version;
  /// Time inside module code, the longest of all ranks.
  std::uint64_t busy_us = 0;
  /// Of every rank that worked on it.
  std::vector<rank_time> times = {};

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, invoked& x) {
    return f(x.output, x.version, x.busy_us, x.times);
  }
};

// -- life ----------------------------------------------------------------------

/// Saves to or loads from a directory that all hosts reach. What is saved is
/// the state between the calls before and the calls after this message; the
/// answer to a save comes when all of it is on the disk, and calls run
/// meanwhile. Answer: ack. Errors: failed (the module threw), exhausted (full
/// disk), refused (missing rights), lost, corrupt (loading), unavailable.
struct run_checkpoint {
  bool load = false;
  std::string directory;
  std::uint32_t timeout_ms = 0;
  /// Saving, ranks that are lost are left out if one of their data-parallel
  /// peers is there (else errc::lost); loading, a rank for which nothing was
  /// saved takes what a data-parallel peer saved.
  bool by_peers = false;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 run_checkpoint& x) {
    return f(x.load, x.directory, x.timeout_ms, x.by_peers);
  }
};

/// Destroys the modules and ends the actors below. Answer: ack.
struct close_model {
  std::uint32_t timeout_ms = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, close_model& x) {
    return f(x.timeout_ms);
  }
};

// -- changes -------------------------------------------------------------------

/// Goes on after a failure elsewhere, with the module as it is: leaves every
/// group and sync there was, takes back what was drawn from the generator since
/// the first call of `scope`, and joins the ranks anew. What a call before it
/// is still doing is waited for. Sender: dist_model. Answer: manifests of every
/// rank. Errors: lost (a rank is gone), unavailable (not set up), timed_out.
struct rejoin {
  std::uint64_t scope = 0;
  std::uint32_t timeout_ms = 0;
  /// It loads a checkpoint next: weights that a sync has left half written are
  /// no reason to wait for another one.
  bool reload = false;
  /// Of the run: what reports carry once the ranks have joined.
  std::uint32_t attempt = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, rejoin& x) {
    return f(x.scope, x.timeout_ms, x.reload, x.attempt);
  }
};

/// Makes a model whole that has lost replicas: those that have all their ranks
/// `rejoin` and keep their state; each other is made anew where it was and
/// loads, or is left out. No call may be under way that is still of use.
/// Sender: driver. Answer: repaired. Errors: unavailable (something is lost
/// that can neither be loaded nor left out), and those of set_up and
/// run_checkpoint.
struct repair_model {
  /// See rejoin.
  std::uint64_t scope = 0;
  /// What a lost replica loads; empty: nothing.
  std::string checkpoint;
  /// The others load it too, instead of keeping their state.
  bool load_all = false;
  /// Where the ranks that are left of a lost replica save what the new one
  /// loads instead (run_checkpoint::by_peers); empty: nowhere.
  std::string rescue;
  /// A lost replica must not come back without loading one of the two.
  bool must_load = false;
  /// Lost replicas are left out as long as one is left.
  bool drop = false;
  std::uint32_t timeout_ms = 0;
  /// Of the run, the one that begins next: see rejoin.
  std::uint32_t attempt = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 repair_model& x) {
    return f(x.scope, x.checkpoint, x.load_all, x.rescue, x.must_load, x.drop,
             x.timeout_ms, x.attempt);
  }
};

struct repaired {
  /// Of every rank that there is now.
  manifests members;
  std::vector<replica_id> made_anew;
  std::vector<replica_id> dropped;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, repaired& x) {
    return f(x.members, x.made_anew, x.dropped);
  }
};

/// Where a rank of a replica belongs.
struct rank_seat {
  node_id node;
  /// Index of the device on the node; -1 for a CPU model.
  std::int32_t device = -1;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, rank_seat& x) {
    return f(x.node, x.device);
  }
};

struct replica_seats {
  replica_id id;
  std::vector<rank_seat> ranks;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 replica_seats& x) {
    return f(x.id, x.ranks);
  }
};

/// Adds replicas to a model that is set up, and removes some: those close. New
/// ones get calls from now on, so whoever sends this brings them their weights
/// first. Sender: engine, between two episodes. Answer: manifests of the new
/// ranks. Errors: invalid (an id that is taken, or unknown; none would be left),
/// and those of set_up; then nothing was changed.
struct change_replicas {
  std::vector<replica_seats> add;
  std::vector<replica_id> remove;
  std::uint32_t timeout_ms = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 change_replicas& x) {
    return f(x.add, x.remove, x.timeout_ms);
  }
};

/// Gives a model another number of replicas once the episode in flight has
/// ended; new ones serve after their first sync. Sender: anybody, to the engine.
/// Answer: scaled, when that is done. Errors: invalid (no such model; one that
/// trains, or gets weights only once, or a number below 1), exhausted (no
/// devices; too many wait), unavailable (the run ends), and those of set_up.
struct scale_model {
  std::string model;
  std::int32_t num_replica = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, scale_model& x) {
    return f(x.model, x.num_replica);
  }
};

struct scaled {
  std::int32_t num_replica_before = 0;
  std::int32_t num_replica = 0;
  /// After which episode.
  std::int64_t episode = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, scaled& x) {
    return f(x.num_replica_before, x.num_replica, x.episode);
  }
};

// -- interfaces ----------------------------------------------------------------

using model_interface = caf::typed_actor<
  caf::replies_to<set_up>::with<manifests>,
  caf::replies_to<open_groups>::with<group_addresses>,
  caf::replies_to<connect_groups>::with<ack>,
  caf::replies_to<close_groups>::with<ack>,
  caf::replies_to<invoke>::with<invoked>,
  caf::replies_to<get_parameters>::with<manifests>,
  caf::replies_to<install_programs>::with<ack>,
  caf::replies_to<sync_order>::with<sync_standings>,
  caf::replies_to<transfer>::with<transfer_reports>,
  caf::replies_to<get_operations>::with<operations>,
  caf::replies_to<run_checkpoint>::with<ack>,
  caf::replies_to<close_model>::with<ack>>;

/// Moves one rank's weights on threads of its own, so that the worker can serve
/// meanwhile. Lives beside the worker.
using mover_actor = caf::typed_actor<
  caf::replies_to<transfer>::with<transfer_reports>>;

/// One rank: owns the module instance. Lives in a device host.
using worker_actor = model_interface::extend<
  caf::replies_to<rejoin>::with<manifests>>;

/// One copy of a model: owns its workers. Lives where its rank 0's node is.
using replica_actor = worker_actor::extend<
  caf::replies_to<start_ranks>::with<started_ranks>,
  caf::replies_to<await_ranks>::with<ack>>;

/// All replicas of a model: what an application talks to. Lives in the driver.
using dist_model_actor = model_interface::extend<
  caf::replies_to<repair_model>::with<repaired>,
  caf::replies_to<change_replicas>::with<manifests>>;

} // namespace troupe::protocol
