// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "troupe/core/error.hpp"
#include "troupe/core/ids.hpp"
#include "troupe/planner/model_spec.hpp"
#include "troupe/planner/parallel_sizes.hpp"
#include "troupe/planner/placement.hpp"

namespace troupe::planner {

/// The weights of `source` go to rank `destination` of `replica`. The source
/// rank is one of the source's first replica (a trainable model has only one;
/// its data parallelism lives inside it).
struct rank_pair {
  rank_id source;
  replica_id replica;
  rank_id destination;

  bool operator==(const rank_pair&) const = default;
};

/// Ranks that together hold one copy of a model's weights.
using weight_copy = std::vector<rank_id>;

/// The copies of the weights inside one replica of `num_rank` ranks laid out as
/// Megatron does: rank = t + T (e + E (d + D p)) for the tensor, expert, data
/// and pipeline coordinates t, e, d, p, where E counts ranks of the data and
/// context dimensions. Copy d has the ranks of that d, pipeline slowest, then
/// expert, tensor fastest. `sizes.data` and `sizes.context` are not read: they
/// follow from `num_rank`, which tensor x expert x pipeline must divide.
/// Complexity: O(num_rank).
[[nodiscard]] std::vector<weight_copy>
weight_copies(const parallel_sizes& sizes, std::int64_t num_rank);

/// One side of a rank mapping.
struct mapped_model {
  parallel_sizes sizes;
  /// The first device of each rank of each replica; may be empty if unknown.
  /// Of a source only the first replica is used.
  std::vector<std::vector<device_id>> devices;
  std::int64_t ranks_per_replica = 1;
  std::int32_t num_replica = 1;
};

struct rank_map_options {
  /// The two models share devices.
  bool colocated = false;
  /// `reversed`: pairs on one device are avoided where possible; `aligned`:
  /// nothing is avoided, so that pairs of models placed alike share a device.
  placement_order order = placement_order::reversed;
};

/// Maps the ranks of a source onto those of a destination whose tensor and
/// expert sizes are equal and whose pipeline size divides the source's.
///
/// Rule: let the source have n copies of its weights and let k be source
/// pipeline / destination pipeline. The destination's copies, replica by
/// replica, take the source's copies in an endless cycle, the source's copies
/// in reversed order if the models are colocated, the order is `reversed` and
/// the tensor size is odd (where reversed placement alone would leave pairs on
/// one device). Both copies are cut in blocks of tensor x expert ranks; block i
/// of the source feeds block i / k of the destination rank by rank. Source:
/// ChatLearn, synchronizer/parameter_sync.py, `build_rank_mapping`.
/// Then, if devices are known and the order is `reversed`, a destination copy
/// that would meet its source on a device takes the next source copy, in the
/// cycle, that it does not meet, if there is one (ChatLearn lets it crash).
///
/// Pairs come in the order of the destination's copies, then of the source's
/// ranks in a copy. Fails with `job_error::layouts_differ` or
/// `job_error::not_divisible`.
/// Complexity: O(source ranks + pairs); a copy that has to be changed costs
/// (copies tried) x (its ranks) more, and at most its ranks + 1 are tried.
[[nodiscard]] result<std::vector<rank_pair>>
map_ranks(const mapped_model& source, const mapped_model& destination,
          const rank_map_options& options = {});

/// The same for two models of a job that `plan` placed.
[[nodiscard]] result<std::vector<rank_pair>>
map_ranks(const placement& plan, const job_spec& job, std::string_view source,
          std::string_view destination);

} // namespace troupe::planner
