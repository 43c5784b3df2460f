// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "troupe/bench/support/bench_report.hpp"

// How `bench_sync` reports rounds that took turns.

namespace troupe::bench {

/// Seconds of each round. All rounds move the whole load.
using seconds_list = std::vector<double>;

[[nodiscard]] double median(const seconds_list& rounds);

/// GB/s of the median round, with the spread and a line of min, median, p99.
void add_rate(bench_report& to, const std::string& name, std::uint64_t bytes,
              const seconds_list& rounds, std::string budget = {});

/// `a` over `b`: of the medians, with the spread of the rounds, in which they
/// took turns. `less` is subtracted.
void add_ratio(bench_report& to, std::string name, const seconds_list& a,
               const seconds_list& b, std::string budget, double less = 0);

} // namespace troupe::bench
