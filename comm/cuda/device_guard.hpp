// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>

#include "troupe/comm/cuda/runtime.hpp"
#include "troupe/core/error.hpp"

namespace troupe::comm::cuda {

/// Makes a device the thread's current one until the end of the scope, then the
/// one before. Stays in its thread; borrows the runtime.
///
/// To go back to a device on which this process has no context would make one:
/// a thread that never chose stands on device 0, whoever works there. Such a
/// thread stays on the guard's device.
class device_guard {
public:
  [[nodiscard]] static result<device_guard> enter(runtime& api,
                                                  std::int32_t device);

  /// As `enter`; where that fails nothing is entered. For releases, and for
  /// calls that say themselves what is wrong with the device.
  [[nodiscard]] static device_guard attempt(runtime& api,
                                            std::int32_t device) noexcept;

  device_guard(device_guard&& other) noexcept
    : api_(std::exchange(other.api_, nullptr)),
      before_(other.before_) {
    // nop
  }

  device_guard& operator=(device_guard&&) = delete;

  ~device_guard();

private:
  device_guard(runtime* api, std::int32_t before) noexcept
    : api_(api),
      before_(before) {
    // nop
  }

  /// Null: there is nothing to restore.
  runtime* api_;
  std::int32_t before_;
};

} // namespace troupe::comm::cuda
