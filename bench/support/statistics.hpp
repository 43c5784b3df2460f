// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

namespace troupe::bench {

/// What a set of samples looks like, in the samples' own unit.
struct statistics {
  double min = 0;
  double median = 0;
  double p99 = 0;
  double max = 0;
};

/// The sample below which the fraction `q` in [0, 1] of all lies, by the
/// nearest rank: always one of the samples, so that a p99 of few samples is
/// their maximum and never an invention between two. 0 without samples.
[[nodiscard]] double quantile(std::vector<double> samples, double q);

/// All four at once; zeros without samples. Complexity: O(n log n).
[[nodiscard]] statistics summarize(std::vector<double> samples);

} // namespace troupe::bench
