// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "troupe/bench/support/bench_report.hpp"
#include "troupe/bench/support/troupe_node.hpp"

namespace troupe::bench {

/// CPU time that `processes` idle workers, their guard and this process take,
/// in percent of one core: the figure `idle_cpu_percent`. Begins anew after
/// the first `alarms_max` false alarms, those of one moment being one, and fails
/// with the next.
[[nodiscard]] result<void> measure_idle(troupe_node& node,
                                        std::int32_t processes, duration time,
                                        std::size_t alarms_max,
                                        bench_report& out);

/// Keeps every core busy for `time` beside eight idle hosts: the figure
/// `false_alarms`.
[[nodiscard]] result<void> soak(troupe_node& node, duration time,
                                bench_report& out);

} // namespace troupe::bench
