// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "troupe/actors/protocol/sync.hpp"
#include "troupe/actors/sync/sync_machine.hpp"
#include "troupe/core/transfer_plan.hpp"

namespace troupe::sync {

/// The pair of ranks that one link joins.
struct sync_channel {
  /// Members.
  std::size_t source = 0;
  std::size_t destination = 0;
  /// Counted over all replicas of each model.
  rank_id source_rank;
  rank_id destination_rank;
  link_kind link = link_kind::inproc;
  std::uint64_t bytes = 0;
  std::size_t parts = 0;
  std::size_t buckets = 0;
};

/// A verified plan and what follows from it: who takes part, who does what over
/// which links. A value, computed once and reused by every run.
struct sync_route {
  /// The program's name at the ranks.
  std::string program;
  /// The source's ranks in order, replica by replica, then the destination's.
  std::vector<sync_member> members;
  /// One a member.
  std::vector<rank_program> programs;
  std::vector<sync_channel> channels;
  std::uint64_t bytes = 0;
  /// What staging takes in the process that needs most of it.
  std::uint64_t staging_bytes = 0;
  /// Links that were not chosen, and why: once for each reason.
  std::vector<std::string> rejected;
  /// What may not be meant so: weights of the source that go nowhere.
  std::vector<std::string> warnings;

  [[nodiscard]] std::vector<bool> moves() const;

  /// One end's requests for the links of a generation.
  [[nodiscard]] protocol::open_groups seats(protocol::seat_kind end,
                                            std::uint32_t generation,
                                            std::uint32_t timeout_ms) const;

  /// A line a channel, then the rejected links and the warnings, for people.
  [[nodiscard]] std::vector<std::string> describe() const;
};

enum class route_filter : std::uint8_t {
  everything = 1,
  /// Logical tensors that train at the source, in at least one rank.
  trainable,
};

/// Plans the transfer from what the ranks hold and where they are, verifies the
/// plan and compiles it. `name` is the sync's.
///
/// Fails with `errc::invalid` and the first problems, by model, rank and
/// tensor: segments that cannot be, destination elements that nobody holds or
/// that two would write, types that do not convert; or if one of the models has
/// no parameters at all.
[[nodiscard]] result<sync_route>
make_route(const std::string& name, const protocol::manifests& source,
           const protocol::manifests& destination,
           const protocol::sync_options& options, route_filter filter);

/// WS-4: both ends of every channel of the route reported the program's bytes
/// and, where both have one, the same digest. The first disagreement is
/// `errc::corrupt` and names both ends.
[[nodiscard]] result<void>
check_reports(const sync_route& route,
              const std::vector<protocol::transfer_report>& reports);

/// WS-6: all ranks of the source stand at the same version after the same
/// number of calls. Fails with `errc::unavailable` and two ranks that do not.
[[nodiscard]] result<void>
check_sources(const std::vector<protocol::sync_standing>& standings);

} // namespace troupe::sync
