// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace troupe::net {

/// A text from a stranger, made safe for terminals and logs: what is not
/// printable ASCII becomes a question mark.
[[nodiscard]] inline std::string printable(std::string x) {
  for (auto& c : x)
    if (c < ' ' || c > '~')
      c = '?';
  return x;
}

} // namespace troupe::net
