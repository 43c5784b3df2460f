// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "troupe/planner/report/plan_view.hpp"

namespace troupe::planner::report {

/// The plan as a JSON object, indented, keys in a fixed order. The schema
/// stands in README.md of this folder; keys are only ever added, and
/// `"schema"` changes if one had to mean something else. Bytes are integers,
/// times seconds, ids 0-based.
[[nodiscard]] std::string render_json(const plan_inputs& inputs);

} // namespace troupe::planner::report
