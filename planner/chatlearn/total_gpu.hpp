// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "troupe/planner/chatlearn/placement.hpp"

namespace troupe::planner::chatlearn {

enum class total_outcome : std::uint8_t {
  ok,
  /// Placed, but more GPUs were applied for than are required.
  warn,
  /// Refused; see `why`.
  error,
  /// ChatLearn would wait for ever for a placement group that fits nowhere.
  pending,
};

/// The placement of a whole job.
struct total_placement {
  std::int64_t applied = 0;
  std::int64_t required = 0;
  total_outcome outcome = total_outcome::ok;
  std::optional<refusal> why;

  /// Valid when placed: models in the order in which their processes get
  /// their environment, and whether they are reversed.
  std::vector<std::pair<std::string, bool>> dist_env;
  /// For each model: does it stand in a colocation group of two or more?
  std::vector<bool> is_colocate;
  /// For each model the models it is taken to share GPUs with.
  std::vector<std::vector<std::string>> colocate;
  /// GPUs of each bundle of each placement group.
  std::vector<std::vector<std::int64_t>> bundles;
};

/// Counts the GPUs of a job and places it: the colocation groups in order,
/// then every other model alone; how replicas then stand on the GPUs is not
/// looked at.
///
/// Rule: required = the largest model of each group + the models in no group.
/// More than applied for: runtime error. A name in `colocation` that no model
/// has: key error. Then every group as `plan_group` does, its bundles on the
/// first nodes with room.
/// Source: schedule/model_manager.py, `remote`.
/// Complexity: O(models^2 of a group + groups x nodes).
[[nodiscard]] total_placement
place_job(const std::vector<local_model>& models,
          const std::vector<std::vector<std::string>>& colocation,
          const std::vector<sync_names>& syncs, const machines& cluster);

} // namespace troupe::planner::chatlearn
