// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "troupe/actors/protocol/sync.hpp"
#include "troupe/planner/rank_map.hpp"

namespace troupe::sync {

/// One link of a sync: a source rank feeds a destination rank with all of its
/// tensors.
struct sync_edge {
  protocol::worker_name source;
  protocol::worker_name destination;
  /// `"inproc"` inside one host, else `"gloo"`.
  std::string backend;
  /// Unique in the job.
  std::string link;
  std::vector<std::string> tensors;
  std::uint64_t bytes = 0;
};

/// The static schedule of a sync between equal layouts: computed once, reused
/// every time.
struct sync_schedule {
  std::vector<sync_edge> edges;

  [[nodiscard]] std::uint64_t bytes() const noexcept;

  /// One end's requests for the links and for one transfer.
  [[nodiscard]] protocol::open_groups seats(protocol::seat_kind end,
                                            std::uint32_t timeout_ms) const;
  [[nodiscard]] protocol::transfer tasks(protocol::transfer_role role,
                                         protocol::transfer_mode mode,
                                         std::uint32_t timeout_ms) const;

  /// A line a link, for people.
  [[nodiscard]] std::vector<std::string> describe() const;
};

/// Builds the schedule from what the ranks hold and who feeds whom. Every
/// destination parameter must exist at its source with the same type and shape
/// and every destination rank must have exactly one source, otherwise
/// `errc::invalid` with model, rank and tensor. `name` is the sync's.
/// Complexity: O(n log n) in the total number of parameters.
[[nodiscard]] result<sync_schedule>
make_schedule(const std::string& name, const protocol::manifests& source,
              const protocol::manifests& destination,
              const std::vector<planner::rank_pair>& pairs);

/// Compares what both ends of every link reported; the first disagreement is
/// `errc::corrupt` and names both ends.
[[nodiscard]] result<void> check_reports(const protocol::transfer_reports& sent,
                                         const protocol::transfer_reports& got);

} // namespace troupe::sync
