// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/monitor/root_cause.hpp"

#include <algorithm>
#include <string_view>

namespace troupe::monitor {

namespace {

constexpr std::string_view engine_operation = "engine";

/// Of an error's code alone.
int distance_of(errc x) {
  switch (x) {
    // Other calls are refused because of something that went on before.
    case errc::unavailable: return 2;
    case errc::timed_out: return 3;
    case errc::lost: return 4;
    case errc::aborted: return 5;
    default: return 1;
  }
}

} // namespace

int distance_from_cause(const protocol::error_report& x) {
  if (x.operation == "process")
    return 0;
  // The engine mostly passes on what somebody nearer has said with the same
  // code. What only it says may still be the cause: parameters that do not
  // match, a plain function that threw, a sync that was late.
  return 2 * distance_of(x.code) + (x.operation == engine_operation ? 1 : 0);
}

bool lacks_cause(const std::vector<protocol::error_report>& reports) {
  return std::ranges::all_of(reports, [](const auto& x) {
    return x.operation == engine_operation
           || (x.operation != "process"
               && distance_of(x.code) >= distance_of(errc::lost));
  });
}

protocol::verdict conclude(std::vector<protocol::error_report> reports) {
  std::erase_if(reports, [](const auto& x) {
    return x.level == protocol::severity::warning;
  });
  protocol::verdict out;
  if (reports.empty())
    return out;
  auto root = std::ranges::min_element(reports, {}, distance_from_cause);
  out.root = *root;
  out.root.cause = 0;
  reports.erase(root);
  for (auto& x : reports)
    x.cause = out.root.id;
  out.consequences = std::move(reports);
  return out;
}

} // namespace troupe::monitor
