// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/protocol/monitor.hpp"

#include <fmt/format.h>

namespace troupe::protocol {

std::string to_string(const error_report& x) {
  std::string who = x.model;
  if (x.replica.value() >= 0)
    who += fmt::format("{}replica {}", who.empty() ? "" : " ",
                       x.replica.value());
  if (x.rank.value() >= 0)
    who += fmt::format("{}rank {}", who.empty() ? "" : " ", x.rank.value());
  if (!x.operation.empty())
    who += fmt::format("{}{}", who.empty() ? "" : ", ", x.operation);
  return who.empty() ? x.message : fmt::format("{}: {}", who, x.message);
}

} // namespace troupe::protocol
