// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "troupe/apps/planning/arguments.hpp"
#include "troupe/core/error.hpp"

namespace troupe::planning {

/// What `plan --transfer` prints.
struct transfer_answer {
  std::string text;
  /// Whether the plan leaves something out or does something twice.
  bool has_problems = false;
};

/// Plans the way of one file's weights into the other's. Fails with
/// `errc::invalid` for files that are no layouts, and for ones that the planner
/// asked for cannot map.
[[nodiscard]] result<transfer_answer>
render_transfer_plan(const plan_arguments& args);

} // namespace troupe::planning
