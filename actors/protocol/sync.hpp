// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include "troupe/actors/protocol/model.hpp"

// What a sync_group answers: it keeps one destination model's weights in step
// with one source model's.

namespace troupe::protocol {

/// How a sync is planned and run. ChatLearn's names where it has them; see
/// docs/configuration.md.
struct sync_options {
  /// `reshard`, or `two_stage`: ChatLearn's mapping.
  std::string planner = "reshard";
  /// `auto`: staged if that is within `staging_bytes_max` and the warm-up finds
  /// the memory, or the first run where nothing is warmed up; else in place.
  /// `staged` and `in_place` insist.
  std::string mode = "auto";
  /// `auto`: the cheapest that is usable between two ranks; `gloo`: sockets
  /// everywhere.
  std::string link = "auto";
  /// Move only what trains, after a first sync of everything.
  bool requires_grad = false;
  /// Map and touch memory when the sync is prepared, not when it first runs.
  bool warm_up = true;
  /// Close the links after each run; the next one builds them again, and the
  /// first too if nothing is warmed up.
  bool free_groups = false;
  /// What a run does that lost ranks for good (`errc::lost`): `fail`, or
  /// `drop`: it plans anew and runs again without them (WS-5). A replica that
  /// is left out gets no weights any more and is told to stay closed.
  std::string when_lost = "fail";
  /// Bound on the buckets under way, a rank.
  std::uint64_t buffer_bytes_max = std::uint64_t{64} << 20;
  /// Bound on what is staged, a process.
  std::uint64_t staging_bytes_max = std::uint64_t{4} << 30;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 sync_options& x) {
    return f(x.planner, x.mode, x.link, x.requires_grad, x.warm_up,
             x.free_groups, x.when_lost, x.buffer_bytes_max,
             x.staging_bytes_max);
  }
};

/// Plans the transfer, verifies the plan, installs the ranks' programs and
/// builds the links. Again, it plans anew: after a change of members. The
/// destination serves meanwhile; after an error nothing runs until a
/// preparation succeeds.
/// Sender: engine, once both models are set up. Errors: invalid (parameters
/// that do not match, by model, rank and tensor; a model without any),
/// exhausted (staged was asked for and does not fit), lost, timed_out.
struct prepare_sync {
  /// May each take the whole timeout: programs, both ends of the links, warm-up;
  /// to leave both ends and all that again, if there is no room to stage.
  static constexpr std::uint32_t steps = 10;

  manifests source;
  manifests destination;
  sync_options options;
  std::uint32_t timeout_ms = 0;
  /// Syncs that are prepared at the same time: those that share devices wait
  /// for each other.
  std::uint32_t together = 1;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 prepare_sync& x) {
    return f(x.source, x.destination, x.options, x.timeout_ms, x.together);
  }
};

/// How the weights will travel, a line a pair of ranks, for people.
struct sync_plan {
  std::vector<std::string> links;
  /// That a sync moves.
  std::uint64_t bytes = 0;
  /// `staged` or `in place`.
  std::string mode;
  /// Sentences for people about what may not be meant so: weights of the source
  /// that go nowhere.
  std::vector<std::string> warnings = {};

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, sync_plan& x) {
    return f(x.links, x.bytes, x.mode, x.warnings);
  }
};

/// Moves the weights: the destination goes from version n to n + 1.
/// Sender: engine. Errors: lost, timed_out, corrupt, failed, invalid
/// (parameters changed). After an error of a staged sync the destination serves
/// version n; after one in place, or if a comparison after the swap failed, it
/// stays fenced until a later run succeeds. So does a replica that was lost
/// during the commit.
struct run_sync {
  /// Also compare every element after the copy.
  bool validate = false;
  /// Say what would be moved and move nothing.
  bool dry_run = false;
  std::uint32_t timeout_ms = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, run_sync& x) {
    return f(x.validate, x.dry_run, x.timeout_ms);
  }
};

/// Compares, bit for bit, and moves nothing. Sender: engine.
struct verify_sync {
  std::uint32_t timeout_ms = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, verify_sync& x) {
    return f(x.timeout_ms);
  }
};

struct sync_report {
  weight_version version;
  std::uint64_t bytes = 0;
  std::uint64_t elapsed_us = 0;
  /// What differed, a sentence a worker; empty if nothing did.
  std::vector<std::string> differences;
  /// A dry run's plan, as sync_plan.
  std::vector<std::string> links = {};
  /// Ranks that were left out because they are lost.
  std::vector<worker_name> dropped = {};

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, sync_report& x) {
    return f(x.version, x.bytes, x.elapsed_us, x.differences, x.links,
             x.dropped);
  }
};

struct close_sync {
  std::uint32_t timeout_ms = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, close_sync& x) {
    return f(x.timeout_ms);
  }
};

/// Looks whether a phase of a run is still going on. Sender: the sync_group, to
/// itself, a little before the phase's deadline.
struct check_sync {
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, check_sync&) {
    return f();
  }
};

using sync_group_actor = caf::typed_actor<
  caf::replies_to<prepare_sync>::with<sync_plan>,
  caf::replies_to<run_sync>::with<sync_report>,
  caf::replies_to<verify_sync>::with<sync_report>, caf::reacts_to<check_sync>,
  caf::replies_to<close_sync>::with<ack>>;

} // namespace troupe::protocol
