// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include "troupe/actors/process/batch_ref.hpp"
#include "troupe/actors/protocol/process.hpp"

// The directory of batches: it knows references and scopes, never bytes.

namespace troupe::protocol {

/// Remembers a batch under a name until its scope is released; an older one of
/// that name is replaced. Answer: ack.
struct put_batch {
  std::string name;
  std::uint64_t scope = 0;
  process::batch_ref value;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, put_batch& x) {
    return f(x.name, x.scope, x.value);
  }
};

/// Errors: unavailable (no batch of that name).
struct get_batch {
  std::string name;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, get_batch& x) {
    return f(x.name);
  }
};

struct stored_batch {
  process::batch_ref value;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 stored_batch& x) {
    return f(x.value);
  }
};

/// A scope that has not been handed out before. Scopes grow.
struct open_scope {
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, open_scope&) {
    return f();
  }
};

struct scope_opened {
  std::uint64_t scope = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 scope_opened& x) {
    return f(x.scope);
  }
};

using storage_actor = caf::typed_actor<
  caf::replies_to<open_scope>::with<scope_opened>,
  caf::replies_to<put_batch>::with<ack>,
  caf::replies_to<get_batch>::with<stored_batch>,
  // Frees everything up to the scope, on every node.
  caf::reacts_to<release_batches>>;

} // namespace troupe::protocol
