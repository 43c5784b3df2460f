// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace troupe::comm::cuda {

/// Where a call stands. As `std::source_location`, which clang 14 cannot
/// compile with gcc's library.
struct call_site {
  const char* file = "";
  int line = 0;

  /// As the default of a parameter: the caller's place.
  [[nodiscard]] static constexpr call_site
  current(const char* file = __builtin_FILE(),
          int line = __builtin_LINE()) noexcept {
    return {file, line};
  }
};

} // namespace troupe::comm::cuda
