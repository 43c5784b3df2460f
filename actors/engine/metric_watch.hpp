// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace troupe::engine {

/// Which metrics of a run have become NaN or infinite: a value, asked after
/// each episode's training.
///
/// A metric is told when it becomes so, not again while it stays so: a run that
/// goes on with such a loss must not flood its listeners.
class metric_watch {
public:
  /// The metrics that are not finite and were at the last call, as sentences:
  /// `"loss is nan in episode 12"`. In the order of their names.
  [[nodiscard]] std::vector<std::string>
  look(const std::map<std::string, double>& metrics, std::int64_t episode);

private:
  std::set<std::string> told_;
};

} // namespace troupe::engine
