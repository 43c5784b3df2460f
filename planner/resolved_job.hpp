// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "troupe/core/error.hpp"
#include "troupe/planner/model_spec.hpp"

namespace troupe::planner {

/// Processes of one replica of `x`. Sizes must have been checked.
[[nodiscard]] inline std::int64_t
ranks_per_replica(const model_spec& x) noexcept {
  if (x.on_cpu())
    return x.parallel.world();
  return x.num_gpu / x.num_replica / x.gpu_per_process;
}

/// A job whose names are checked and replaced by positions in `job.models`.
struct resolved_job {
  /// Models that share devices: the colocation groups in order, then every
  /// other model alone, each group in the order it was written.
  std::vector<std::vector<std::int32_t>> groups;
  /// How many of `groups` were written as colocation groups.
  std::int32_t num_colocation = 0;
  /// The group of each model.
  std::vector<std::int32_t> group_of;
  /// Syncs as (source, destination).
  std::vector<std::pair<std::int32_t, std::int32_t>> syncs;
  /// Devices each group needs: those of its largest model.
  std::vector<std::int64_t> group_devices;
  /// The sum of `group_devices`.
  std::int64_t required = 0;
};

/// Positions of models by name; views into the models' own names.
using model_positions = std::unordered_map<std::string_view, std::int32_t>;

/// Checks everything about `job` that can be checked without machines and
/// resolves its names. The first problem found is the error; job_error.hpp
/// lists the kinds, whose texts say what to change.
/// Complexity: O(models + members of groups + syncs).
[[nodiscard]] result<resolved_job> resolve(const job_spec& job);

/// The models of the job that get the opposite order inside their nodes: in
/// the order of the syncs' dependencies, a model is reversed if it follows a
/// model of its own group that is not reversed itself. Without chains these are
/// ChatLearn's (every destination with a source in its group); in a chain
/// a -> b -> c ChatLearn would reverse b and c alike and so put their ranks on
/// the same devices. Nobody is reversed under `placement_order::aligned`.
/// `jobs` must be what `resolve(job)` returned.
/// Complexity: O(models + syncs).
[[nodiscard]] std::vector<bool> reversed_models(const job_spec& job,
                                                const resolved_job& jobs);

} // namespace troupe::planner
