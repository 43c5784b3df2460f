// SPDX-License-Identifier: Apache-2.0
#include "troupe/core/clock.hpp"

namespace troupe {

const clock& steady_clock() noexcept {
  struct machine_clock final : clock {
    [[nodiscard]] time_point now() const noexcept override {
      return std::chrono::steady_clock::now();
    }
  };
  // Never destroyed: other threads read it while somebody's exit() runs.
  static const auto* const instance = new machine_clock;
  return *instance;
}

} // namespace troupe
