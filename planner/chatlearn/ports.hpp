// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "troupe/planner/chatlearn/refusal.hpp"

namespace troupe::planner::chatlearn {

/// CUSTOM_PORTS without those that Ray uses itself: 8265, 10001, 49948, 52365,
/// 63529 and 10002 to 19999, in order. The first two go to Ray.
/// Source: launcher/dlc_utils.py. Complexity: O(n).
[[nodiscard]] std::vector<std::int64_t>
usable_ports(const std::vector<std::int64_t>& custom_ports);

/// Gives each node the usable ports one after another, beginning with the
/// third; no port ever comes back.
/// Source: runtime/port_manager.py. Complexity: O(log nodes) a request.
class port_book {
public:
  explicit port_book(std::vector<std::int64_t> usable)
    : usable_(std::move(usable)) {
    // nop
  }

  /// The node's next port; an assertion when its ports are used up.
  [[nodiscard]] outcome<std::int64_t> next(std::int64_t node);

private:
  std::vector<std::int64_t> usable_;
  std::map<std::int64_t, std::size_t> given_;
};

} // namespace troupe::planner::chatlearn
