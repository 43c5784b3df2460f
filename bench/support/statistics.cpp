// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/support/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace troupe::bench {

namespace {

double at_fraction(const std::vector<double>& sorted, double q) {
  if (sorted.empty())
    return 0;
  auto rank = std::ceil(std::clamp(q, 0., 1.)
                        * static_cast<double>(sorted.size()));
  auto index = static_cast<std::size_t>(std::max(rank, 1.)) - 1;
  return sorted[std::min(index, sorted.size() - 1)];
}

} // namespace

double quantile(std::vector<double> samples, double q) {
  std::ranges::sort(samples);
  return at_fraction(samples, q);
}

statistics summarize(std::vector<double> samples) {
  std::ranges::sort(samples);
  return {at_fraction(samples, 0), at_fraction(samples, 0.5),
          at_fraction(samples, 0.99), at_fraction(samples, 1)};
}

} // namespace troupe::bench
