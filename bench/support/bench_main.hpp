// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "troupe/bench/support/bench_report.hpp"
#include "troupe/core/error.hpp"

namespace troupe::bench {

/// What every benchmark program is told.
struct bench_options {
  /// End within 20 seconds.
  bool quick = false;
  /// Where the figures go as JSON; empty: nowhere.
  std::string json_file;
  /// `--soak`, of programs that have it; 0 without.
  double soak_minutes = 0;
  /// `--devices`, of programs that have it: the number of a GPU.
  std::optional<std::int32_t> gpu;
};

/// What a benchmark program says about itself.
struct bench_description {
  std::string name;
  std::string summary;
  /// What `--soak MINUTES` does; empty if the program has no such option.
  std::string soak = {};
  /// What `--devices cuda[:N]` does; likewise.
  std::string devices = {};
};

/// The main function of a benchmark: reads `--quick`, `--json FILE` and
/// `--help`, runs the benchmark, prints its table and writes its JSON. Of one
/// that failed the table has what was measured before. Returns the exit code: 0,
/// 1 if the benchmark failed, 2 for bad input, in which case nothing was
/// started.
int bench_main(
  int argc, char** argv, const bench_description& about,
  const std::function<result<void>(const bench_options&, bench_report&)>& run);

} // namespace troupe::bench
