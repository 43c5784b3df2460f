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

/// Plans the transfer and builds the links. Sender: engine, once both models
/// are set up. Errors: invalid (parameters that do not match, by name).
struct prepare_sync {
  manifests source;
  manifests destination;
  std::uint32_t timeout_ms = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 prepare_sync& x) {
    return f(x.source, x.destination, x.timeout_ms);
  }
};

/// How the weights will travel, a line a link, for people.
struct sync_plan {
  std::vector<std::string> links;
  std::uint64_t bytes = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, sync_plan& x) {
    return f(x.links, x.bytes);
  }
};

/// Moves the weights: the destination goes from version n to n + 1.
/// Sender: engine. Errors: lost, timed_out, corrupt, failed; after an error the
/// destination stays fenced: only a restart of the models heals it.
struct run_sync {
  /// Also compare every element after the copy.
  bool validate = false;
  std::uint32_t timeout_ms = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, run_sync& x) {
    return f(x.validate, x.timeout_ms);
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

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, sync_report& x) {
    return f(x.version, x.bytes, x.elapsed_us, x.differences);
  }
};

struct close_sync {
  std::uint32_t timeout_ms = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, close_sync& x) {
    return f(x.timeout_ms);
  }
};

using sync_group_actor = caf::typed_actor<
  caf::replies_to<prepare_sync>::with<sync_plan>,
  caf::replies_to<run_sync>::with<sync_report>,
  caf::replies_to<verify_sync>::with<sync_report>,
  caf::replies_to<close_sync>::with<ack>>;

} // namespace troupe::protocol
