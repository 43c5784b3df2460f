// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <vector>

namespace troupe::test {

/// What CAF's own packing damages, and some it does not.
inline const std::vector<double>& odd_doubles() {
  using limits = std::numeric_limits<double>;
  static const std::vector<double> values{
    limits::quiet_NaN(),
    // A NaN with a sign and a payload.
    std::bit_cast<double>(std::uint64_t{0xfff8'0000'dead'beef}),
    limits::signaling_NaN(),
    limits::infinity(),
    -limits::infinity(),
    0.0,
    -0.0,
    limits::denorm_min(),
    -1e-310,
    limits::min(),
    limits::max(),
    limits::lowest(),
    0.1,
  };
  return values;
}

} // namespace troupe::test
