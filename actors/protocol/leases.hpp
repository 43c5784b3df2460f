// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include "troupe/actors/protocol/model.hpp"

// Who may use devices between which data goes. Ranks that launch operations of
// two communicators in opposite orders wait for each other for ever; so whoever
// makes ranks use theirs asks for the devices first, and all are asked of one
// actor.

namespace troupe::protocol {

/// Waits until nobody else has any of the devices, then has all of them. The
/// same owner may have them several times. Ends with `end_lease`, or with the
/// actor that has asked; until then it must not ask for more, nor ask anybody
/// who does. Answer: ack. Errors: invalid (a number that is in use).
struct lease_devices {
  /// Chosen by whoever asks; never used twice in a job.
  std::uint64_t number = 0;
  /// A model or a sync.
  std::string owner;
  /// UUIDs.
  std::vector<std::string> devices;
  /// Passes those who wait and are not first, and all who wait if the owner has
  /// all of the devices already; never those who have: for repairs.
  bool first = false;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 lease_devices& x) {
    return f(x.number, x.owner, x.devices, x.first);
  }
};

/// Gives devices back, or does not want them any more.
struct end_lease {
  std::uint64_t number = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, end_lease& x) {
    return f(x.number);
  }
};

/// Whom a lease that was asked for waits for.
struct get_blockers {
  std::uint64_t number = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f,
                                                 get_blockers& x) {
    return f(x.number);
  }
};

struct blockers {
  /// Each once, in the order in which they asked.
  std::vector<std::string> owners;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, blockers& x) {
    return f(x.owners);
  }
};

using device_desk_actor = caf::typed_actor<
  caf::replies_to<lease_devices>::with<ack>, caf::reacts_to<end_lease>,
  caf::replies_to<get_blockers>::with<blockers>>;

} // namespace troupe::protocol
