// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>

namespace troupe::planner {

/// The product of two sizes, or the largest number if it is larger: sizes from
/// outside are compared with limits and must not wrap around on the way.
[[nodiscard]] inline std::int64_t times(std::int64_t a,
                                        std::int64_t b) noexcept {
  std::int64_t out = 0;
  return __builtin_mul_overflow(a, b, &out)
           ? std::numeric_limits<std::int64_t>::max()
           : out;
}

/// The same for a sum.
[[nodiscard]] inline std::int64_t plus(std::int64_t a,
                                       std::int64_t b) noexcept {
  std::int64_t out = 0;
  return __builtin_add_overflow(a, b, &out)
           ? std::numeric_limits<std::int64_t>::max()
           : out;
}

} // namespace troupe::planner
