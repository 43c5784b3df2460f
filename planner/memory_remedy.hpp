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
  /// What a job costs, e.g. its predicted iteration time: of remedies of equally
  /// many changes the cheapest has the least. Without it the cheapest is the
  /// first that fits in the order of `list_steps`.
  std::function<double(const job_spec&, const placement&,
                       std::span<const model_profile>)>
    cost;
};

/// The cheapest change, or changes together, after which every device fits; it
/// has been placed and estimated. All combinations of the steps of
/// `list_steps` are tried, the fewest changes first, up to 1,500 on small jobs
/// and 100 on the largest; when there are more, all models offloaded with up to
/// two other changes, less what is not needed of that. Empty if nothing that was
/// tried helps. O(tries) placements.
[[nodiscard]] std::optional<memory_remedy>
find_remedy(const job_spec& job, const cluster& machines,
            std::span<const model_profile> profiles,
            const place_function& place,
            const memory_fit_options& options = {});

} // namespace troupe::planner
