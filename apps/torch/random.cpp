// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/random.hpp"

#include <cmath>
#include <cstddef>
#include <numbers>

namespace troupe::torch {

void fill_uniform(std::span<float> out, double bound,
                  std::mt19937_64& generator) {
  for (auto& x : out)
    x = static_cast<float>((2 * uniform(generator) - 1) * bound);
}

void fill_normal(std::span<float> out, double deviation,
                 std::mt19937_64& generator) {
  for (std::size_t i = 0; i < out.size(); i += 2) {
    // 1 - u lies in (0, 1], so the logarithm is finite.
    auto radius = deviation * std::sqrt(-2 * std::log(1 - uniform(generator)));
    auto angle = 2 * std::numbers::pi * uniform(generator);
    out[i] = static_cast<float>(radius * std::cos(angle));
    if (i + 1 < out.size())
      out[i + 1] = static_cast<float>(radius * std::sin(angle));
  }
}

} // namespace troupe::torch
