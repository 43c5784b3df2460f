// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/bench/support/bench_report.hpp"
#include "troupe/bench/support/troupe_node.hpp"

namespace troupe::bench {

/// The hidden verb of a process that writes one byte and ends.
inline constexpr const char* bare_copy_verb = "__bare_copy";

int bare_copy_main();

struct start_plan {
  std::size_t rounds = 0;
  std::int32_t processes = 0;
  /// No further round begins after this time.
  duration budget{};
};

/// Starts hosts up to the first reply of a worker in each, in turn with as
/// many bare copies of this program up to the last one's byte: the figures
/// `startN_seconds`, `bare_startN_seconds` and `startN_over_bare`. The hosts of
/// the last round are gone when it returns.
[[nodiscard]] result<void>
measure_start(troupe_node& node, const start_plan& plan, bench_report& out);

} // namespace troupe::bench
