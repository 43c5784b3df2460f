// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "troupe/core/error.hpp"
#include "troupe/planner/report/plan_view.hpp"

namespace troupe::planner::report {

struct text_options {
  /// ANSI escapes; they take no columns.
  bool colour = false;
  /// No line is longer; at least 60.
  std::size_t width = 80;
  /// Larger clusters are shown with rows that are alike left out.
  std::size_t max_rows = 64;
};

/// The plan for a person: devices down, models across, `r0.1` for rank 1 of
/// replica 0; packs, reversal, memory bars; why each model is where it is; the
/// syncs with bytes, links and times; predicted times; warnings. ASCII but for
/// what names contain.
[[nodiscard]] std::string render_text(const plan_inputs& inputs,
                                      const text_options& options = {});

/// All about one model: sizes, place, memory, times, syncs, reasons. Fails with
/// `errc::invalid` for an unknown name, naming those there are.
[[nodiscard]] result<std::string> explain(const plan_inputs& inputs,
                                          std::string_view model,
                                          const text_options& options = {});

} // namespace troupe::planner::report
