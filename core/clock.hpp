// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

namespace troupe {

using duration = std::chrono::nanoseconds;
using time_point = std::chrono::steady_clock::time_point;

/// Where the time comes from. Code that waits takes a clock, so that a test
/// can hand in one that it advances by hand.
class clock {
public:
  virtual ~clock() = default;

  /// Never goes back. Callable from any thread.
  [[nodiscard]] virtual time_point now() const noexcept = 0;
};

/// The machine's monotonic clock. Lives as long as the process.
[[nodiscard]] const clock& steady_clock() noexcept;

/// A clock that stands still until `advance`. One thread at a time.
class manual_clock final : public clock {
public:
  [[nodiscard]] time_point now() const noexcept override { return now_; }

  void advance(duration by) noexcept { now_ += by; }

private:
  time_point now_{};
};

} // namespace troupe
