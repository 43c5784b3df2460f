// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/actors/protocol/names.hpp"
#include "troupe/actors/protocol/wire.hpp"
#include "troupe/core/dtype.hpp"
#include "troupe/core/error.hpp"
#include "troupe/core/shape.hpp"
#include "troupe/core/transfer_plan.hpp"

// What a sync_group says to the ranks of two models, through dist_model and
// replica. Every request names its ranks (`items`, one or many) and carries its
// deadline. Ranks do as they are told and know nothing of each other; what
// follows what is the sync_group's business (actors/sync/sync_machine.hpp).

namespace troupe::protocol {

/// "Done."
struct ack {
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, ack&) {
    return f();
  }
};

// -- what ranks hold -----------------------------------------------------------

/// A `weight_segment` in a message: plain numbers, nothing trusted.
struct parameter_segment {
  std::string logical;
  /// The logical box, half open.
  std::vector<std::int64_t> begin;
  std::vector<std::int64_t> end;
  std::vector<std::int64_t> local_begin;

  bool operator==(const parameter_segment&) const = default;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 parameter_segment& x) {
    return f(x.logical, x.begin, x.end, x.local_begin);
  }
};

/// One parameter as a rank stores it.
struct parameter_info {
  std::string name;
  dtype type = dtype::float32;
  shape extents;
  bool requires_grad = true;
  /// What it holds; empty: all of the logical tensor of its name.
  std::vector<parameter_segment> segments;

  bool operator==(const parameter_info&) const = default;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 parameter_info& x) {
    return f(x.name, x.type, x.extents, x.requires_grad, x.segments);
  }
};

/// What one rank holds and where it lives.
struct worker_manifest {
  worker_name worker;
  host_name host;
  /// Ranks of one node with the same number share an address space.
  std::int32_t pid = 0;
  /// Why this rank's process cannot use shm links; empty if it can.
  std::string without_shm;
  /// The device that the parameters lie on; empty: memory of the process.
  std::string device;
  /// The device that its host works on, whatever the module keeps there; empty:
  /// none. The replica knows.
  std::string host_device = {};
  /// Parameters in all; more than are listed if the rest must be asked for.
  std::uint64_t parameter_count = 0;
  std::vector<parameter_info> parameters;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 worker_manifest& x) {
    return f(x.worker, x.host, x.pid, x.without_shm, x.device, x.host_device,
             x.parameter_count, x.parameters);
  }
};

struct manifests {
  std::vector<worker_manifest> items;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, manifests& x) {
    return f(x.items);
  }
};

struct parameter_seat {
  worker_name to;
  /// The first parameter wanted.
  std::uint64_t first = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 parameter_seat& x) {
    return f(x.to, x.first);
  }
};

/// The next parameters of a manifest that was too long for one message.
/// Sender: replica. Answer: manifests.
struct get_parameters {
  std::vector<parameter_seat> items;
  std::uint32_t timeout_ms = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 get_parameters& x) {
    return f(x.items, x.timeout_ms);
  }
};

// -- programs ------------------------------------------------------------------

/// A piece of one rank's encoded `rank_program`.
struct program_chunk {
  worker_name to;
  std::uint32_t index = 0;
  std::uint32_t count = 1;
  payload bytes;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 program_chunk& x) {
    return f(x.to, x.index, x.count, x.bytes);
  }
};

/// Gives ranks what they do in a sync; the pieces come in order. A later
/// program of the same name takes the place of an earlier one.
/// Sender: sync_group. Answer: ack. Errors: invalid.
struct install_programs {
  std::string program;
  std::vector<program_chunk> items;
  /// Bound on a rank's buckets under way, and on its staging.
  std::uint64_t buffer_bytes_max = 0;
  std::uint64_t staging_bytes_max = 0;
  std::uint32_t timeout_ms = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 install_programs& x) {
    return f(x.program, x.items, x.buffer_bytes_max, x.staging_bytes_max,
             x.timeout_ms);
  }
};

// -- orders --------------------------------------------------------------------

enum class sync_action : std::uint8_t {
  /// Source: from now on no call runs (WS-6); calls wait.
  pin = 1,
  /// Source: calls run again. And the end for a destination that was enrolled
  /// and then neither opened nor reopened.
  unpin,
  /// Destination: says what it holds and its version.
  enroll,
  /// Destination: refuses calls (WS-1).
  fence,
  /// Destination: moves what was staged into its parameters.
  swap,
  /// Destination: takes calls at `version`, after `module::on_sync`. Refused
  /// unless the weights of this sync are whole.
  open,
  /// Destination: drops what was staged and takes calls at the version it had.
  /// Refused if its parameters were written to.
  reopen,
  /// Both: a transfer on trial has failed for good. The replicas report what
  /// they have held back of it; the ranks hear nothing.
  own_up,
};

[[nodiscard]] std::string_view to_string(sync_action x) noexcept;

struct order_seat {
  worker_name to;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, order_seat& x) {
    return f(x.to);
  }
};

/// One step of a sync at some ranks. The ranks of one replica get it between
/// the same two calls, so that no call runs at some of them and waits at others.
/// Sender: sync_group. Answer: sync_standings, one a rank, in which each rank
/// has its own failure: invalid (parameters changed their name, type or shape),
/// unavailable, refused, failed (on_sync threw), lost, timed_out. None of an
/// `own_up`.
struct sync_order {
  std::string sync;
  /// Which of the sync's programs moves the weights this time.
  std::string program;
  sync_action action = sync_action::enroll;
  weight_version version;
  std::vector<order_seat> items;
  std::uint32_t timeout_ms = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, sync_order& x) {
    return f(x.sync, x.program, x.action, x.version, x.items, x.timeout_ms);
  }
};

/// Where a rank stands.
struct sync_standing {
  worker_name from;
  weight_version version;
  /// Calls that may have changed the weights since they got this version.
  std::uint64_t writes = 0;
  /// Its parameters lie elsewhere than its peers know: the links must be built
  /// anew.
  bool moved = false;
  /// It did not do as it was told, and why; then the rest means nothing.
  bool failed = false;
  error why;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 sync_standing& x) {
    return f(x.from, x.version, x.writes, x.moved, x.failed, x.why);
  }
};

struct sync_standings {
  std::vector<sync_standing> items;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 sync_standings& x) {
    return f(x.items);
  }
};

// -- transfers -----------------------------------------------------------------

enum class transfer_mode : std::uint8_t {
  /// Destination parameters are overwritten.
  in_place = 1,
  /// Memory beside them is written; `sync_action::swap` follows.
  staged,
  /// Destination parameters are compared with what arrives.
  compare,
};

[[nodiscard]] std::string_view to_string(transfer_mode x) noexcept;

/// Runs ranks' programs, each on a thread of its own.
/// Sender: sync_group. Answer: transfer_reports. Errors: exhausted, lost,
/// timed_out, aborted, corrupt, naming peer, bucket and tensors; the links are
/// dead then.
struct transfer {
  std::string program;
  transfer_mode mode = transfer_mode::in_place;
  /// Only makes ready for `mode`: maps and touches memory.
  bool warm_up = false;
  /// The source digests its own memory also where nothing needs it to.
  bool source_digest = false;
  /// If memory lacks, something else is tried: what may come of that is no
  /// failure of the job before `sync_action::own_up`.
  bool on_trial = false;
  /// Which generation of the program's links (`link_name`).
  std::uint32_t links = 0;
  std::vector<order_seat> items;
  std::uint32_t timeout_ms = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, transfer& x) {
    return f(x.program, x.mode, x.warm_up, x.source_digest, x.on_trial, x.links,
             x.items, x.timeout_ms);
  }
};

/// What one end of one channel saw. Both ends must agree on bytes and, if both
/// have one, on the digest.
struct transfer_report {
  worker_name from;
  /// Of the other model, counted over its replicas; `rank` is ours.
  rank_id peer;
  rank_id rank;
  bool sends = false;
  link_kind link = link_kind::inproc;
  std::uint64_t bytes = 0;
  bool digested = false;
  std::uint64_t digest_products = 0;
  std::uint64_t digest_words = 0;
  std::uint64_t elapsed_us = 0;
  /// Compare mode: the first difference as a sentence; empty if none.
  std::string difference;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 transfer_report& x) {
    return f(x.from, x.peer, x.rank, x.sends, x.link, x.bytes, x.digested,
             x.digest_products, x.digest_words, x.elapsed_us, x.difference);
  }
};

struct transfer_reports {
  std::vector<transfer_report> items;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 transfer_reports& x) {
    return f(x.items);
  }
};

/// Whether a sync has that program; it may have several.
[[nodiscard]] bool is_program_of(const std::string& program,
                                 const std::string& sync);

/// The link of one channel; both ends make the same name.
[[nodiscard]] std::string link_name(const std::string& program,
                                    std::uint32_t generation, rank_id source,
                                    rank_id destination);

// -- hang reports --------------------------------------------------------------

/// What a worker did last and for how long.
/// Bytes of a rank's device when it last looked.
struct device_bytes {
  /// Of all who use the device.
  std::uint64_t used = 0;
  /// 0: nobody has looked, or there is no device.
  std::uint64_t total = 0;
  /// What the rank's own module holds.
  std::uint64_t own = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 device_bytes& x) {
    return f(x.used, x.total, x.own);
  }
};

struct worker_status {
  worker_name worker;
  std::string operation;
  std::uint64_t age_ms = 0;
  /// Its process did not answer for so long: `operation` says just that.
  bool silent = false;
  /// Of its weights.
  weight_version version = {};
  device_bytes memory = {};

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 worker_status& x) {
    return f(x.worker, x.operation, x.age_ms, x.silent, x.version, x.memory);
  }
};

/// Asks what every rank is doing, past workers that are stuck: their hosts'
/// control actors answer. Sender: sync_group. Answer: operations, in which a
/// rank whose host does not answer says so.
struct get_operations {
  std::uint32_t timeout_ms = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 get_operations& x) {
    return f(x.timeout_ms);
  }
};

struct operations {
  std::vector<worker_status> items;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, operations& x) {
    return f(x.items);
  }
};

} // namespace troupe::protocol
