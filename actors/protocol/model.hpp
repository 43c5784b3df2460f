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

/// Makes the modules ready: creates the processes and workers (dist_model and
/// replica), joins the ranks of each replica, runs `module::setup`.
/// Sender: engine. Answer: manifests of every rank.
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

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 run_checkpoint& x) {
    return f(x.load, x.directory, x.timeout_ms);
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
using worker_actor = model_interface;

/// One copy of a model: owns its workers. Lives where its rank 0's node is.
using replica_actor = model_interface;

/// All replicas of a model: what an application talks to. Lives in the driver.
using dist_model_actor = model_interface;

} // namespace troupe::protocol
