// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "troupe/apps/planning/arguments.hpp"
#include "troupe/core/error.hpp"

namespace troupe::planning {

/// The text of `plan --groups`: every group of the world that `args` describe,
/// for people or as one JSON object {"tp": [[ranks]...], ...}. Fails with
/// `errc::invalid` for sizes that form no world and for options of a plan, which
/// would be ignored.
[[nodiscard]] result<std::string> render_groups(const plan_arguments& args);

} // namespace troupe::planning
