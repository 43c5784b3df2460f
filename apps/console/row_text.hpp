// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "troupe/apps/console/episode_row.hpp"
#include "troupe/core/clock.hpp"

namespace troupe::console {

/// `01:03`, or `1:02:03` from an hour on.
[[nodiscard]] std::string clock_text(duration span);

/// A number of a few digits: `0.412`, `12.3`, `1,234`, `nan`.
[[nodiscard]] std::string number_text(double value);

/// `3.1 ms`
[[nodiscard]] std::string milliseconds_text(double value);

/// ` 37/64`, or nothing if `total` is unknown and nothing is done.
[[nodiscard]] std::string phase_count(std::int64_t done, std::int64_t total);

/// What was measured, most important first: `reward 0.412`...
[[nodiscard]] std::vector<std::string> row_parts(const episode_row& row);

} // namespace troupe::console
