// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/chatlearn/ports.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace troupe::planner::chatlearn {

namespace {

constexpr std::array<std::int64_t, 5> reserved{8265, 10001, 49948, 52365,
                                               63529};

/// Ports that Ray itself takes from the front of the list.
constexpr std::size_t taken_by_ray = 2;

bool is_reserved(std::int64_t port) {
  return (port >= 10002 && port <= 19999)
         || std::find(reserved.begin(), reserved.end(), port) != reserved.end();
}

} // namespace

std::vector<std::int64_t>
usable_ports(const std::vector<std::int64_t>& custom_ports) {
  std::vector<std::int64_t> out;
  std::copy_if(custom_ports.begin(), custom_ports.end(),
               std::back_inserter(out),
               [](std::int64_t port) { return !is_reserved(port); });
  return out;
}

outcome<std::int64_t> port_book::next(std::int64_t node) {
  auto& given = given_[node];
  auto at = given + taken_by_ray;
  if (at >= usable_.size())
    return refuse(refusal_kind::assertion,
                  fmt::format("node {} has used up its {} ports; give more in "
                              "CUSTOM_PORTS",
                              node, given));
  ++given;
  return usable_[at];
}

} // namespace troupe::planner::chatlearn
