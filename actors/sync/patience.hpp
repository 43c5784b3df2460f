// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

namespace troupe::sync {

/// Those below give up first and say why; we wait a little longer for that.
inline std::chrono::milliseconds with_grace(std::uint32_t timeout_ms) {
  return std::chrono::milliseconds{timeout_ms}
         + std::chrono::milliseconds{1500};
}

} // namespace troupe::sync
