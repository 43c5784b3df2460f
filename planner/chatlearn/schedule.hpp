// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "troupe/planner/chatlearn/refusal.hpp"

/// Which collectives of a parameter sync run at the same time.
/// Source of all: synchronizer/parameter_sync.py and scheduler.py.
namespace troupe::planner::chatlearn {

/// Global numbers of ranks: the source's first, then the destination's.
using ranks = std::vector<std::int64_t>;

/// Senders with their receivers, in the order in which senders first appear.
using send_table = std::vector<std::pair<std::int64_t, ranks>>;

/// Pairs (sender, receiver) as a table. Complexity: O(n).
[[nodiscard]] send_table make_send_table(
  const std::vector<std::pair<std::int64_t, std::int64_t>>& pairs);

/// Positions of groups (root first) in rounds: a round goes once through the
/// queue; a group none of whose ranks is in the round yet joins it, the others
/// go to the end of the queue. Rounds run one after another.
/// Complexity: O(rounds x ranks of the groups).
[[nodiscard]] std::vector<std::vector<std::int64_t>>
schedule_rounds(const std::vector<ranks>& groups);

/// Cuts senders into waves: each goes, in `order`, into the first wave that
/// has none of its ranks. A sender with a receiver named twice, or that sends
/// to itself, is an assertion.
/// Complexity: O(waves x ranks).
[[nodiscard]] outcome<std::vector<ranks>>
split_sync_groups(const ranks& order, const send_table& table);

/// Senders interleaved over the data-parallel ranks: one of data rank 0, one of
/// 1, ..., each data rank's senders in ascending order, starting over at
/// `dp_size` or at the first data rank without senders. Where ChatLearn pops
/// from an empty list (data ranks that are not 0..n-1, or with unequal numbers
/// of senders) the next data rank that still has a sender is taken.
/// `dp_rank[s]` is the data rank of source rank s.
/// Complexity: O(n log n).
[[nodiscard]] ranks interleave_senders(const send_table& table,
                                       const std::vector<std::int64_t>& dp_rank,
                                       std::int64_t dp_size);

/// Stage 2's pairs in steps: pairs, sender by sender, each into the first set
/// that has neither of its ranks; sets in chunks of `width` pairs. Each chunk
/// is a step whose pairs run in parallel. (ChatLearn forgets the chunk that is
/// left when a set is no multiple of `width`.)
/// Complexity: O(sets x pairs).
[[nodiscard]] std::vector<std::vector<std::pair<std::int64_t, std::int64_t>>>
second_stage_steps(const send_table& table, std::int64_t width);

} // namespace troupe::planner::chatlearn
