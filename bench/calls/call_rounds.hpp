// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/bench/calls/troupe_node.hpp"
#include "troupe/bench/support/bench_report.hpp"

namespace troupe::bench {

struct call_plan {
  std::size_t rounds = 0;
  /// Round trips of each kind in a round.
  std::size_t calls = 0;
  std::size_t fan_outs = 0;
  std::size_t processes = 0;
  /// No further round begins after this time; half of it for each part.
  duration budget{};
};

/// Round trips to one other process, then to all at once: Troupe's calls, bare
/// CAF requests and (to one) a raw socket, in turn, round by round. Starts the
/// hosts and the peers and leaves the hosts running.
[[nodiscard]] result<void>
measure_calls(troupe_node& node, const call_plan& plan, bench_report& out);

} // namespace troupe::bench
