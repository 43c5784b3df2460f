// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include "troupe/actors/protocol/error_report.hpp"
#include "troupe/actors/protocol/model.hpp"

// Errors as the error_signal records them and the error_monitor reacts to.

namespace troupe::protocol {

/// What a subscriber is told at once. Sender: error_signal, which tells no more
/// until this is answered. Answer: ack.
struct error_news {
  /// Oldest first.
  std::vector<error_report> items;
  /// Reports before these that the subscriber was too slow for.
  std::uint64_t lost = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, error_news& x) {
    return f(x.items, x.lost);
  }
};

using error_listener_actor = caf::typed_actor<
  caf::replies_to<error_news>::with<ack>>;

/// From now on every report is pushed to `listener`, the known ones first unless
/// it wants only what comes `from_now`. What it has not taken yet is kept up to
/// a bound; it then misses the oldest and is told how many.
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
  /// Only the last so many; 0 means all that are kept.
  std::uint64_t last = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, get_errors& x) {
    return f(x.last);
  }
};

struct error_history {
  /// Oldest first. Once the error_monitor has concluded, consequences carry
  /// the id of their cause.
  std::vector<error_report> items;
  /// Reports that the bounded history had to drop.
  std::uint64_t dropped = 0;
  /// Of each level, recorded so far, whatever is still kept.
  std::uint64_t errors = 0;
  std::uint64_t warnings = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 error_history& x) {
    return f(x.items, x.dropped, x.errors, x.warnings);
  }
};

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

/// Records every error, and which were consequences of which. Lives in the
/// driver.
using error_signal_actor = caf::typed_actor<
  caf::reacts_to<error_report>, caf::replies_to<subscribe_errors>::with<ack>,
  caf::replies_to<get_errors>::with<error_history>, caf::reacts_to<verdict>>;

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
  caf::replies_to<error_news>::with<ack>, caf::reacts_to<conclude>,
  caf::replies_to<subscribe_verdict>::with<ack>>;

} // namespace troupe::protocol
