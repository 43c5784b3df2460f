// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/sync/hang_report.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace troupe::sync {

namespace {

/// Ranks that a line or sentence names at most.
constexpr std::size_t names_max = 16;

std::string names(const std::vector<protocol::worker_name>& xs) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < std::min(xs.size(), names_max); ++i)
    out.push_back(to_string(xs[i]));
  auto text = out.empty() ? std::string{"none"}
                          : fmt::format("{}", fmt::join(out, ", "));
  if (xs.size() > names_max)
    text += fmt::format(" and {} more", xs.size() - names_max);
  return text;
}

std::string age(std::uint64_t ms) {
  return fmt::format("{}.{} s", ms / 1000, ms % 1000 / 100);
}

std::string line_of(const protocol::worker_status& x) {
  auto out = fmt::format("{}: {}", to_string(x.worker), x.operation);
  // A channel's line tells its own time.
  if (x.age_ms > 0)
    out += fmt::format(", for {}", age(x.age_ms));
  return out;
}

bool is_missing(const hang_report& x, const protocol::worker_status& y) {
  return std::ranges::count(x.missing, y.worker) > 0;
}

} // namespace

std::vector<std::string> to_lines(const hang_report& x) {
  std::vector<std::string> out;
  out.push_back(fmt::format("sync {} hangs: {} ({}) for {}", x.sync,
                            to_string(x.state), to_string(x.mode),
                            age(x.waited_ms)));
  // Links are not built rank by rank.
  if (!x.arrived.empty() || !x.missing.empty()) {
    out.push_back("  arrived: " + names(x.arrived));
    out.push_back("  did not arrive: " + names(x.missing));
  }
  for (auto missing : {true, false})
    for (const auto& y : x.operations)
      if (is_missing(x, y) == missing)
        out.push_back("  " + line_of(y));
  return out;
}

std::string to_sentence(const hang_report& x) {
  auto known = !x.arrived.empty() || !x.missing.empty();
  auto out = known ? fmt::format("did not arrive in {}: {}; arrived: {}",
                                 age(x.waited_ms), names(x.missing),
                                 names(x.arrived))
                   : fmt::format("not done in {}", age(x.waited_ms));
  std::size_t told = 0;
  for (auto missing : {true, false})
    for (const auto& y : x.operations)
      if (is_missing(x, y) == missing && told++ < names_max)
        out += "; " + line_of(y);
  return out;
}

} // namespace troupe::sync
