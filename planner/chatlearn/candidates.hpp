// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

#include "troupe/planner/chatlearn/refusal.hpp"

namespace troupe::planner::chatlearn {

/// What `candidate_table::pick` found.
struct candidate_choice {
  /// The destination rank, or nothing (only when asked to pre-allocate).
  std::optional<std::int64_t> rank;
  /// A candidate is on the source's own GPU.
  bool collided = false;

  bool operator==(const candidate_choice&) const = default;
};

/// Chooses, for a rank of the source, one of the `tp_map` destination ranks
/// that share its tensor slice: not on its own GPU, fewest hits first, then the
/// one that has waited longest.
///
/// Rule: candidates of source position s in a destination group are the ranks
/// at s * tp_map + (start + n) mod tp_map, n = 0, 1, ...; each set of
/// candidates has one queue for all calls, filled in the order n at the first
/// call and ordered by (hits, sequence). A pick takes tp_map candidates in that
/// order; one on the source's GPU goes back at once (a new sequence number, the
/// same hits) and may be taken again. With `pre_allocate` and no collision
/// nothing is chosen: such sources are served after all those with a collision.
/// Else the first legal one that was taken gets a hit more and is the choice; if
/// none was the mapping is
/// infeasible (runtime).
/// Source: synchronizer/parameter_sync.py, `get_load_balanced_dst_rank`.
/// Complexity: O(tp_map log tp_map) a pick.
class candidate_table {
public:
  /// `gpu[r]` names the GPU of global rank r; equal numbers are one GPU.
  candidate_table(std::vector<std::int64_t> gpu, std::int64_t tp_map)
    : gpu_(std::move(gpu)),
      tp_map_(tp_map) {
    // nop
  }

  [[nodiscard]] outcome<candidate_choice>
  pick(std::int64_t position, std::int64_t start, std::int64_t source,
       const std::vector<std::int64_t>& group, bool pre_allocate);

private:
  struct entry {
    std::int64_t hits = 0;
    std::int64_t sequence = 0;
    std::int64_t index = 0;

    bool operator<(const entry& other) const noexcept {
      return std::tie(hits, sequence) < std::tie(other.hits, other.sequence);
    }
  };

  struct queue {
    std::set<entry> entries;
    std::int64_t next_sequence = 0;
  };

  std::vector<std::int64_t> gpu_;
  std::int64_t tp_map_;
  /// By the candidates in the order of their positions.
  std::map<std::vector<std::int64_t>, queue> queues_;
};

} // namespace troupe::planner::chatlearn
