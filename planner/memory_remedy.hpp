// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "troupe/planner/memory_report.hpp"

namespace troupe::planner {

/// A placement strategy: `planner::place`, or a test's own.
using place_function = std::function<result<placement>(const job_spec&,
                                                       const cluster&)>;

/// A job changed so that it may fit.
struct memory_remedy {
  /// What to change, e.g. "set offload: true for policy".
  std::string text;
  job_spec job;
  std::vector<model_profile> profiles;
  /// The fullest device afterwards.
  std::uint64_t peak_bytes = 0;
};

struct memory_fit_options {
  memory_settings settings;
  /// What a job costs, e.g. its predicted iteration time: the cheapest change
  /// has the least. Without it the cheapest is the first that fits in this
  /// order: distributed optimizer, offload of one model, larger tensor size on
  /// the same devices, a model out of its colocation group, fewer replicas,
  /// then two of these at once.
  std::function<double(const job_spec&, const placement&,
                       std::span<const model_profile>)>
    cost;
};

/// The cheapest change after which every device fits; it has been placed and
/// estimated. Empty if none of the changes tried helps. O(models * log devices)
/// placements.
[[nodiscard]] std::optional<memory_remedy>
find_remedy(const job_spec& job, const cluster& machines,
            std::span<const model_profile> profiles,
            const place_function& place,
            const memory_fit_options& options = {});

} // namespace troupe::planner
