// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include "troupe/bench/calls/child_process.hpp"

namespace caf {
class actor_system;
} // namespace caf

namespace troupe::bench {

/// The least that CAF can do between two processes: one number there, the same
/// number back.
using bare_actor = caf::typed_actor<
  caf::replies_to<std::uint64_t>::with<std::uint64_t>>;

/// Processes that hold bare actors, under the CAF settings that all processes of
/// a job have.
class bare_peers {
public:
  /// `actors_each` actors in each of `processes` processes.
  [[nodiscard]] static result<bare_peers> start(caf::actor_system& system,
                                                std::size_t processes,
                                                std::size_t actors_each,
                                                deadline until);

  [[nodiscard]] const std::vector<bare_actor>& actors() const noexcept {
    return actors_;
  }

private:
  std::vector<child_process> processes_;
  std::vector<bare_actor> actors_;
};

/// The hidden verb of such a process.
inline constexpr const char* bare_peer_verb = "__bare_peer";

/// Its main function: publishes as many actors as it is told, prints a port for
/// each, and serves to the end of the input.
int bare_peer_main(std::string_view actors);

} // namespace troupe::bench
