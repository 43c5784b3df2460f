// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstdlib>
#include <random>

namespace troupe::test {

/// A seed that is new in each run; TROUPE_SEED repeats one that was printed.
/// Fits the 32 bits that some generators take.
inline std::uint64_t random_seed() {
  if (const auto* given = std::getenv("TROUPE_SEED"))
    return std::strtoull(given, nullptr, 10);
  return std::random_device{}();
}

} // namespace troupe::test
