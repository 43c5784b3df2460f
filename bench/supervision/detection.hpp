// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "troupe/bench/support/bench_report.hpp"
#include "troupe/bench/support/troupe_node.hpp"

namespace troupe::bench {

struct detection_plan {
  std::size_t kills = 0;
  std::size_t freezes = 0;
};

/// Kills hosts (SIGKILL) and freezes them (SIGSTOP), one at a time, and takes the
/// time until the error_signal tells of it: the figures `kill_detect_*_ms` and
/// `freeze_detect_*_ms`.
[[nodiscard]] result<void> measure_detection(troupe_node& node,
                                             const detection_plan& plan,
                                             bench_report& out);

} // namespace troupe::bench
