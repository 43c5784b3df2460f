// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/core/transfer_plan.hpp"
#include "troupe/planner/weights/figures.hpp"
#include "troupe/planner/weights/shared_layout.hpp"

namespace troupe::planner::report {

/// A transfer plan and all that is known of it. Borrows the plan and the
/// layouts.
struct transfer_view {
  const transfer_plan& plan;
  const weights::shared_layout& source;
  const weights::shared_layout& destination;
  weights::plan_figures figures;
  std::uint64_t lower_bound = 0;
  /// What `weights::verify` says.
  std::vector<std::string> problems;
};

/// Measures and verifies a plan.
[[nodiscard]] transfer_view
view_transfer(const transfer_plan& plan, const weights::shared_layout& source,
              const weights::shared_layout& destination);

/// For people, in lines of at most 80 columns: what moves over which link, how
/// long that takes, ranks, the schedule, the problems, and what of the source
/// goes nowhere. What is long is summed up. `planner` names what made the plan.
[[nodiscard]] std::string render_transfer(const transfer_view& x,
                                          std::string_view planner);

/// For programs: {"transfers": [{"src", "dst": [ranks], "logical", "begin",
/// "end", "link"}], "bytes_total", "bytes_lower_bound", "max_bytes_sent",
/// "predicted_seconds", "problems": [sentences]}. A line for each transfer.
[[nodiscard]] std::string render_transfer_json(const transfer_view& x);

} // namespace troupe::planner::report
