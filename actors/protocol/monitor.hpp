// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include "troupe/actors/protocol/model.hpp"
#include "troupe/core/error.hpp"

// Errors as the error_signal records them and the error_monitor reacts to.

namespace troupe::protocol {

enum class severity : std::uint8_t { warning, error };

/// One failure, told once by whoever saw it first.
struct error_report {
  /// Given by the error_signal; 0 before.
  std::uint64_t id = 0;
  /// Milliseconds since the epoch, given by the error_signal.
  std::uint64_t time_ms = 0;
  severity level = severity::error;
  errc code = errc::internal;
  /// Empty or -1 where it does not apply.
  std::string model;
  replica_id replica{-1};
  rank_id rank{-1};
  node_id node{-1};
  /// The process; slot -1 if none.
  std::int32_t slot = -1;
  /// `"cpu:1"`.
  std::string device;
  /// What was going on: a module function, `"set up"`, `"sync a2b"`, `"run"`.
  std::string operation;
  std::string message;
  /// The report this one is a consequence of; 0 for a root cause.
  std::uint64_t cause = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 error_report& x) {
    return f(x.id, x.time_ms, x.level, x.code, x.model, x.replica, x.rank,
             x.node, x.slot, x.device, x.operation, x.message, x.cause);
  }
};

/// `"policy replica 0 rank 1, generate: text"`: who, doing what, and the words.
[[nodiscard]] std::string to_string(const error_report& x);

using error_listener_actor = caf::typed_actor<caf::reacts_to<error_report>>;

/// From now on every report is pushed to `listener`, the known ones first unless
/// it wants only what comes `from_now`.
struct subscribe_errors {
  error_listener_actor listener;
  bool from_now = false;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 subscribe_errors& x) {
    return f(x.listener, x.from_now);
  }
};

struct get_errors {
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, get_errors&) {
    return f();
  }
};

struct error_history {
  /// Oldest first.
  std::vector<error_report> items;
  /// Reports that the bounded history had to drop.
  std::uint64_t dropped = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 error_history& x) {
    return f(x.items, x.dropped);
  }
};

/// Records every error. Lives in the driver.
using error_signal_actor = caf::typed_actor<
  caf::reacts_to<error_report>, caf::replies_to<subscribe_errors>::with<ack>,
  caf::replies_to<get_errors>::with<error_history>>;

/// What the error_monitor concludes: the root cause and what followed from it.
struct verdict {
  error_report root;
  /// Oldest first.
  std::vector<error_report> consequences;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, verdict& x) {
    return f(x.root, x.consequences);
  }
};

using verdict_listener_actor = caf::typed_actor<caf::reacts_to<verdict>>;

/// From now on every verdict is pushed to `listener`, a given one at once.
struct subscribe_verdict {
  verdict_listener_actor listener;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 subscribe_verdict& x) {
    return f(x.listener);
  }
};

/// The error_monitor's own timer: by now the consequences have arrived.
struct conclude {
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, conclude&) {
    return f();
  }
};

/// Reacts to errors: aborts communicators first, so that nobody hangs, waits a
/// moment for the consequences, and concludes. Lives in the driver.
using error_monitor_actor = caf::typed_actor<
  caf::reacts_to<error_report>, caf::reacts_to<conclude>,
  caf::replies_to<subscribe_verdict>::with<ack>>;

} // namespace troupe::protocol
