// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/metric_watch.hpp"

#include <cmath>
#include <string_view>

#include <fmt/core.h>

namespace troupe::engine {

namespace {

std::string_view name_of(double x) {
  if (std::isnan(x))
    return "nan";
  return x > 0 ? "infinite" : "negative infinite";
}

} // namespace

std::vector<std::string>
metric_watch::look(const std::map<std::string, double>& metrics,
                   std::int64_t episode) {
  std::vector<std::string> out;
  for (const auto& [name, value] : metrics) {
    if (std::isfinite(value))
      told_.erase(name);
    else if (told_.insert(name).second)
      out.push_back(
        fmt::format("{} is {} in episode {}", name, name_of(value), episode));
  }
  return out;
}

} // namespace troupe::engine
