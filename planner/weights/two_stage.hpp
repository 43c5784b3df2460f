// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/core/error.hpp"
#include "troupe/core/transfer_plan.hpp"
#include "troupe/planner/chatlearn/rank_map.hpp"
#include "troupe/planner/weights/shared_layout.hpp"

namespace troupe::planner::weights {

/// Sizes of a model's parallelism, read off what its ranks hold.
struct layout_sizes {
  /// The most parts into which a tensor that is no routed expert is cut.
  std::int64_t tensor = 1;
  /// Different sets of such tensors.
  std::int64_t pipeline = 1;
  /// Different sets of routed experts in one stage.
  std::int64_t expert = 1;
};

/// Fails with `errc::invalid` if the number of ranks is no multiple of the
/// product: then ranks do not hold what tensor, pipeline and expert parallelism
/// give them.
[[nodiscard]] result<layout_sizes> sizes_of(const shared_layout& layout);

/// ChatLearn's own mapping of two layouts: sizes are read off the layouts,
/// ranks taken in ascending order and numbered as Megatron does
/// (tp + TP (ep + EP (dp + DP pp)), each destination replica by itself). With
/// experts spread over ranks it is that of ParameterSyncGroupwithHEP, else
/// that of ParameterSyncGroup: with equal tensor sizes one stage; else a source
/// rank's slice goes to one of the destination ranks that split it, and these
/// hand the parts on among themselves.
///
/// Fails with `errc::invalid` where ChatLearn refuses, with its reason. That
/// two ranks of a group share a device is refused by its communicators and not
/// by ours: then ranks are mapped as if each had a device of its own.
[[nodiscard]] result<transfer_plan> two_stage(const shared_layout& source,
                                              const shared_layout& destination);

} // namespace troupe::planner::weights
