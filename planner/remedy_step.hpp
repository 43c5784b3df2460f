// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "troupe/planner/cluster.hpp"
#include "troupe/planner/model_profile.hpp"
#include "troupe/planner/model_spec.hpp"

/// Single changes of a job that may make it fit; `find_remedy` combines them.
namespace troupe::planner {

enum class step_kind : std::uint8_t {
  shard_optimizer,
  offload,
  larger_tensor,
  leave_colocation,
  fewer_replicas,
};

/// One change; it is applied to whatever the changes before it have left.
struct remedy_step {
  step_kind what = step_kind::offload;
  /// Steps of one slot exclude each other; they stand side by side.
  std::size_t slot = 0;
  /// The position of the model in the job.
  std::size_t model = 0;
  /// A factor for the tensor size, or how many replicas are left.
  std::int32_t size = 0;
  /// How many changes this counts as: a tensor size that does not divide the
  /// attention heads, which most engines refuse, is the last resort.
  int weight = 1;
};

/// A job on its way to a remedy.
struct remedy_draft {
  job_spec job;
  std::vector<model_profile> profiles;
  /// Models that are offloaded now and were not.
  std::vector<std::string> offloaded;
  /// All other changes, e.g. "take policy out of its colocation group".
  std::vector<std::string> notes;

  /// All changes as one phrase.
  [[nodiscard]] std::string text() const;
};

/// The steps that make sense for a job, those that cost least first: a
/// distributed optimizer, offload (fewest bytes first), larger tensor sizes on
/// the same devices, another colocation, fewer replicas. Steps of one slot
/// follow each other. O(models * log devices).
[[nodiscard]] std::vector<remedy_step> list_steps(const remedy_draft& base,
                                                  const cluster& machines);

/// Applies a step. False if it makes no sense after the changes before, which
/// leaves `x` in between. O(models).
[[nodiscard]] bool apply(const remedy_step& step, remedy_draft& x);

} // namespace troupe::planner
