// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <random>
#include <span>

namespace troupe::torch {

/// Draws of our own instead of the standard distributions or torch's
/// generator: the same generator state gives the same numbers on every
/// standard library.

/// A double in [0, 1) from the upper 53 bits of one draw.
[[nodiscard]] inline double uniform(std::mt19937_64& generator) {
  return static_cast<double>(generator() >> 11) * 0x1.0p-53;
}

/// Fills `out` with draws from [-bound, bound).
void fill_uniform(std::span<float> out, double bound,
                  std::mt19937_64& generator);

/// Fills `out` with draws of mean 0 and the given deviation (Box-Muller).
void fill_normal(std::span<float> out, double deviation,
                 std::mt19937_64& generator);

} // namespace troupe::torch
