// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/complaint.hpp"

#include <cerrno>
#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

#include "troupe/apps/console/text.hpp"

namespace troupe::console {

namespace {

constexpr std::size_t terminal_columns = 80;

} // namespace

std::string_view program_name() noexcept {
  return program_invocation_short_name;
}

void complain(std::string_view text) {
  auto line = fmt::format("{}: {}", program_name(), text);
  // Whole lines are for programs.
  if (::isatty(STDERR_FILENO) == 0) {
    fmt::print(stderr, "{}\n", line);
    return;
  }
  for (const auto& part : wrap(line, terminal_columns))
    fmt::print(stderr, "{}\n", part);
}

} // namespace troupe::console
