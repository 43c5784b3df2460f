// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "troupe/core/error.hpp"
#include "troupe/core/transfer_plan.hpp"
#include "troupe/planner/weights/shared_layout.hpp"

namespace troupe::planner::weights {

struct compile_options {
  /// No bucket is larger on the wire: a sync holds a few of them at a time.
  std::uint64_t bucket_bytes = 16 * 1024 * 1024;
};

/// What each rank does, by position in its layout.
struct compiled_plan {
  std::vector<rank_program> sources;
  std::vector<rank_program> destinations;
};

/// Turns a plan into programs.
///
/// * A channel for each pair of ranks that share a transfer. Of rank number s
///   among S sources and d among D destinations, with n = max(S, D), a rank's
///   channels stand in the order of ((d - s) mod n, s). All ranks agree on that
///   order, so that ranks which handle their channels one after the other never
///   wait in a circle, and in each round different pairs work side by side.
/// * Buckets of a channel by wire type (`wire_type`: the destination's, unless
///   it is larger than the source's), then in the plan's order. What is larger
///   than a bucket is cut; what lies in one run at both ends, right behind what
///   came before, becomes one part with it.
/// * A region that a destination rank stores several times travels once: a part
///   for each place, all with the same wire position.
/// * Key of a part: source rank << 32 | position in the channel.
///
/// Parts are aligned to 8 bytes on the wire, so that `wire_bytes` of a bucket
/// may be a few bytes more than its parts together; the plan's figures count
/// parts without these gaps, and equal wire positions once.
///
/// Fails with `errc::invalid` if a bucket holds no element, or the plan moves
/// what a rank does not hold or store, or what cannot be converted.
/// O((transfers x destinations + parts) log).
[[nodiscard]] result<compiled_plan>
compile(const transfer_plan& plan, const shared_layout& source,
        const shared_layout& destination, const compile_options& options = {});

} // namespace troupe::planner::weights
