// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/complaint.hpp"

#include <cerrno>
#include <cstdio>

#include <fmt/format.h>

namespace troupe::console {

std::string_view program_name() noexcept {
  return program_invocation_short_name;
}

void complain(std::string_view text) {
  fmt::print(stderr, "{}: {}\n", program_name(), text);
}

} // namespace troupe::console
