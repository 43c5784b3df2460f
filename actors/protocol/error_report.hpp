// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "troupe/core/error.hpp"
#include "troupe/core/ids.hpp"

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
  /// The attempt of the run that asked for what failed; 0 if it concerns
  /// whichever there is, as the end of a process does.
  std::uint32_t attempt = 0;
  /// Who says this may begin anew with an attempt: the error_signal records it
  /// once.
  bool once = false;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 error_report& x) {
    return f(x.id, x.time_ms, x.level, x.code, x.model, x.replica, x.rank,
             x.node, x.slot, x.device, x.operation, x.message, x.cause,
             x.attempt, x.once);
  }
};

/// `"policy replica 0 rank 1, generate: text"`: who, doing what, and the words.
[[nodiscard]] std::string to_string(const error_report& x);

} // namespace troupe::protocol
