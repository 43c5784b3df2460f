// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace troupe::comm {

/// A backend's answer to "can you be used here": yes, or why not. Asking never
/// throws and changes nothing.
struct probe_result {
  bool usable = false;
  /// For people: the version found, or the reason it cannot be used.
  std::string reason;
};

} // namespace troupe::comm
