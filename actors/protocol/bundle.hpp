// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include <caf/actor.hpp>
#include <caf/error.hpp>
#include <caf/message.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

// How requests to many actors of one other process, or of one other machine,
// travel: as one message to whoever passes them on there (call/caller.hpp and
// call/bundle_book.hpp). So a fan-out is a tree: driver, nodes, hosts, workers.

namespace troupe::protocol {

/// One request of a bundle.
struct parcel {
  /// Lives in the process of whoever opens the bundle last: its handle only
  /// ever travels towards its home.
  caf::actor to;
  /// Processes that pass it on before it is there, the next one first.
  std::vector<caf::actor> via;
  caf::message content;
  /// How long `to` has for its answer.
  std::uint32_t timeout_ms = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, parcel& x) {
    return f(x.to, x.via, x.content, x.timeout_ms);
  }
};

/// Asks all of these on behalf of the sender. Answer: bundle_answers, never an
/// error: each request has its own.
struct bundle {
  std::vector<parcel> items;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, bundle& x) {
    return f(x.items);
  }
};

struct bundle_answer {
  /// Index into `bundle::items`.
  std::uint32_t index = 0;
  /// None if there is an answer.
  caf::error why;
  caf::message content;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 bundle_answer& x) {
    return f(x.index, x.why, x.content);
  }
};

/// Answers as soon as all are there, or one is a failure: that does not wait
/// for the others.
struct bundle_answers {
  std::vector<bundle_answer> items;
  /// What to ask for the others; 0 if these were the last.
  std::uint64_t rest = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 bundle_answers& x) {
    return f(x.items, x.rest);
  }
};

/// Answer: bundle_answers. Errors: aborted (nothing is known of it any more).
struct get_rest {
  std::uint64_t rest = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, get_rest& x) {
    return f(x.rest);
  }
};

/// Whoever passes on bundles: nodes and hosts.
using courier_actor = caf::typed_actor<
  caf::replies_to<bundle>::with<bundle_answers>,
  caf::replies_to<get_rest>::with<bundle_answers>>;

} // namespace troupe::protocol
