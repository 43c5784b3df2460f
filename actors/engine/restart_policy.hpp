// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "troupe/core/error.hpp"

namespace troupe::engine {

/// Whether and when a run that failed goes on by itself: a value, asked after
/// each failure.
///
/// It goes on while there are restarts left, unless the cause is something that
/// another attempt cannot change (`errc::invalid`, `errc::refused`). Attempts
/// that get nowhere wait longer and longer: the back-off doubles with each
/// restart that has added nothing to what is saved, up to `backoff_max`.
class restart_policy {
public:
  static constexpr std::chrono::milliseconds backoff_max{30'000};

  /// `restarts_max` 0 means never.
  restart_policy(std::int64_t restarts_max, std::chrono::milliseconds backoff);

  /// How long to wait before the next attempt, or nothing if there is none.
  /// `saved_episode` is the last one on the disk, -1 if there is none.
  [[nodiscard]] std::optional<std::chrono::milliseconds>
  next(errc cause, std::int64_t saved_episode);

  /// How often a run has been begun again.
  [[nodiscard]] std::int64_t restarts() const noexcept { return restarts_; }

  [[nodiscard]] std::int64_t restarts_max() const noexcept {
    return restarts_max_;
  }

private:
  std::int64_t restarts_max_;
  std::chrono::milliseconds backoff_;
  std::int64_t restarts_ = 0;
  /// Of the failure before.
  std::optional<std::int64_t> saved_episode_;
  std::chrono::milliseconds wait_{};
};

} // namespace troupe::engine
