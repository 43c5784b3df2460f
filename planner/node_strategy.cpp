// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/node_strategy.hpp"

#include <array>

namespace troupe::planner {

namespace {

constexpr std::array<std::string_view, 4> strategy_names{"PACK", "SPREAD",
                                                         "STRICT_PACK",
                                                         "STRICT_SPREAD"};

} // namespace

std::string_view to_string(node_strategy x) noexcept {
  auto index = static_cast<std::size_t>(x);
  return index < strategy_names.size() ? strategy_names[index] : "unknown";
}

bool from_string(std::string_view name, node_strategy& x) noexcept {
  for (std::size_t i = 0; i < strategy_names.size(); ++i)
    if (strategy_names[i] == name) {
      x = static_cast<node_strategy>(i);
      return true;
    }
  return false;
}

} // namespace troupe::planner
