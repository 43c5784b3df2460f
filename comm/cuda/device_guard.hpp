// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>

#include "troupe/comm/cuda/runtime.hpp"
#include "troupe/core/error.hpp"

namespace troupe::comm::cuda {

/// Makes a device the thread's current one until the end of the scope, then the
/// one before. Stays in its thread; borrows the runtime.
class device_guard {
public:
  [[nodiscard]] static result<device_guard> enter(runtime& api,
                                                  std::int32_t device);

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
