// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "troupe/apps/console/failure.hpp"
#include "troupe/apps/console/run_summary.hpp"
#include "troupe/apps/console/terminal.hpp"

namespace troupe::console {

/// How text for people is dressed.
struct style {
  int columns = 80;
  bool colour = false;
  bool unicode = false;
};

/// What suits `out`, never wider than 80 columns.
[[nodiscard]] style style_for(const terminal& out);

/// The closing summary of a run: evaluation, processes, where the time went,
/// where the outputs are. Whole lines, none wider than the style's columns
/// except where a path or a message has a longer word.
[[nodiscard]] std::string render_summary(const run_summary& summary,
                                         const style& look = {});

/// The last words of a failed run: consequences, advice and logs first, the
/// first cause (model, replica, rank, function, message) last, where a person
/// looks.
[[nodiscard]] std::string render_failure(const failure_report& report,
                                         const style& look = {});

} // namespace troupe::console
