// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "troupe/planner/report/plan_view.hpp"

namespace troupe::planner::report {

struct svg_options {
  /// Pixels; the height follows.
  std::size_t width = 1080;
  /// Further nodes are told of, not drawn.
  std::size_t max_nodes = 16;
};

/// The plan as a drawing: a panel for each node, a card for each device with
/// one coloured stripe for each model on it and a memory bar, then the syncs
/// and the predicted episode. One SVG document without outside references.
[[nodiscard]] std::string render_svg(const plan_inputs& inputs,
                                     const svg_options& options = {});

} // namespace troupe::planner::report
