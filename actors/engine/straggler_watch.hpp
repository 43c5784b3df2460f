// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "troupe/actors/protocol/model.hpp"

namespace troupe::engine {

/// A rank that was slower than its peers.
struct straggler {
  protocol::worker_name rank;
  std::chrono::microseconds own{};
  /// The median of its peers.
  std::chrono::microseconds peers{};
};

/// Which ranks are slower than their peers: a value, asked after each call.
///
/// Peers are the ranks that did the same call in the same pipeline stage, of
/// all replicas: the rows are spread evenly over them. Compared is the time a
/// rank spent in the function without its communicators, because whoever waits
/// for a slow rank is as long in the call as that one is. A rank is slow if its
/// time is more than `factor` times the median of its peers' and at least
/// `least` above it. O(n log n) in the ranks.
class straggler_watch {
public:
  /// A rank is told once in so many episodes.
  static constexpr std::int64_t episodes_between = 10;

  /// Factor 0: nobody ever is.
  straggler_watch(double factor, std::chrono::milliseconds least)
    : factor_(factor),
      least_(least) {
    // nop
  }

  [[nodiscard]] std::vector<straggler>
  look(const std::vector<protocol::rank_time>& times, std::int64_t episode);

private:
  double factor_;
  std::chrono::microseconds least_;
  /// The episode in which a rank was last told.
  std::map<protocol::worker_name, std::int64_t> told_;
};

} // namespace troupe::engine
