// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/monitor/root_cause.hpp"

#include <algorithm>

namespace troupe::monitor {

int distance_from_cause(const protocol::error_report& x) {
  if (x.operation == "process")
    return 0;
  if (x.operation == "engine")
    return 6;
  switch (x.code) {
    // Other calls are refused because of something that went on before.
    case errc::unavailable: return 2;
    case errc::timed_out: return 3;
    case errc::lost: return 4;
    case errc::aborted: return 5;
    default: return 1;
  }
}

bool lacks_cause(const std::vector<protocol::error_report>& reports) {
  constexpr auto lost = 4;
  return std::ranges::all_of(reports, [](const auto& x) {
    return distance_from_cause(x) >= lost;
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
