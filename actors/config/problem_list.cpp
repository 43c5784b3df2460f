// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/config/problem_list.hpp"

#include <algorithm>
#include <limits>

#include <fmt/core.h>

namespace troupe::config {

void problem_list::add(int line, std::string_view key, std::string_view text) {
  if (full()) {
    ++dropped_;
    return;
  }
  auto where = line > 0 ? fmt::format("{}:{}", file_name_, line)
                        : std::string{"--set"};
  auto subject = key.empty() ? std::string{} : fmt::format("{}: ", key);
  problems_.push_back({line, fmt::format("{}: {}{}", where, subject, text)});
}

error problem_list::to_error() const {
  auto sorted = problems_;
  // What --set gave comes last: it is the newest thing the person did.
  auto position = [](const problem& x) {
    return x.line > 0 ? x.line : std::numeric_limits<int>::max();
  };
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const problem& a, const problem& b) {
                     return position(a) < position(b);
                   });
  std::string text;
  for (const auto& problem : sorted) {
    if (!text.empty())
      text += '\n';
    text += problem.text;
  }
  if (dropped_ > 0)
    text += fmt::format("\n... and {} more", dropped_);
  return {errc::invalid, std::move(text)};
}

} // namespace troupe::config
