// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "troupe/comm/cuda/call_site.hpp"
#include "troupe/comm/cuda/runtime.hpp"
#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"

namespace troupe::comm::cuda {

/// A point in a stream's work that others wait for. Owns it; the runtime lives
/// as long. Recording it again moves it.
class event {
public:
  /// On `device`. `timed` events cost more to record.
  [[nodiscard]] static result<event>
  create(runtime_ptr api, std::int32_t device, bool timed = false);

  event(event&& other) noexcept
    : api_(std::move(other.api_)),
      handle_(std::exchange(other.handle_, nullptr)),
      device_(other.device_) {
    // nop
  }

  event& operator=(event&& other) noexcept {
    std::swap(api_, other.api_);
    std::swap(handle_, other.handle_);
    std::swap(device_, other.device_);
    return *this;
  }

  /// Does not wait.
  ~event();

  [[nodiscard]] event_handle handle() const noexcept { return handle_; }

  [[nodiscard]] const runtime_ptr& api() const noexcept { return api_; }

  /// True once all that stood before the last record is done; also if it was
  /// never recorded.
  [[nodiscard]] result<bool> done() const;

  /// Waits until then (wait.hpp).
  [[nodiscard]] result<void> wait(deadline until,
                                  const std::atomic<bool>* aborted = nullptr,
                                  call_site where = call_site::current()) const;

  /// From this event to `end`; both timed and done.
  [[nodiscard]] result<duration> until(const event& end) const;

private:
  event(runtime_ptr api, event_handle handle, std::int32_t device) noexcept
    : api_(std::move(api)),
      handle_(handle),
      device_(device) {
    // nop
  }

  runtime_ptr api_;
  event_handle handle_;
  std::int32_t device_;
};

} // namespace troupe::comm::cuda
