// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>

#include "troupe/bench/support/bench_report.hpp"
#include "troupe/core/error.hpp"

namespace troupe::bench {

/// Kills a host of a run with `on_failure: restart`, `count` times, and takes the
/// time until the run has an episode more than when the error was recorded: the
/// figure `recover_seconds`.
[[nodiscard]] result<void> measure_recovery(const std::filesystem::path& folder,
                                            std::size_t count,
                                            bench_report& out);

/// How much more memory the driver has after `episodes` than after a fifth of
/// them: the figure `driver_rss_growth_mb`.
[[nodiscard]] result<void> measure_memory(const std::filesystem::path& folder,
                                          std::int64_t episodes,
                                          bench_report& out);

} // namespace troupe::bench
