// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/bench/support/bench_report.hpp"
#include "troupe/bench/support/stub_model.hpp"
#include "troupe/bench/support/troupe_node.hpp"

namespace troupe::bench {

struct call_plan {
  std::size_t rounds = 0;
  /// Round trips of each kind in a round.
  std::size_t calls = 0;
  /// No further round begins after this time.
  duration budget{};
};

/// Round trips to one other process: Troupe's calls, bare CAF requests and a
/// raw socket, in turn, round by round. Leaves its host running.
[[nodiscard]] result<void> measure_round_trips(troupe_node& node,
                                               const call_plan& plan,
                                               bench_report& out);

/// Calls to all workers of a model at once, in turn with as many bare requests:
/// the figures `fanoutN_calls_per_s`, `bare_fanoutN_calls_per_s` and
/// `fanoutN_over_bare`, where N is the number of processes, or `8x8` if each
/// holds eight. Its hosts are gone when it returns.
[[nodiscard]] result<void> measure_fan_out(troupe_node& node,
                                           worker_shape shape,
                                           const call_plan& plan,
                                           bench_report& out);

} // namespace troupe::bench
