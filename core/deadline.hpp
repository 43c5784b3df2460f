// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>

#include "troupe/core/clock.hpp"

namespace troupe {

/// The moment by which a wait must end. Waits take a deadline rather than a
/// timeout, so that a sequence of waits shares one budget. There is no
/// "never": every wait in Troupe ends.
class deadline {
public:
  /// `budget` from now on `source`; a negative budget has already passed.
  /// `source` must outlive the deadline.
  [[nodiscard]] static deadline after(duration budget,
                                      const clock& source = steady_clock()) {
    return deadline{source.now() + budget, source};
  }

  [[nodiscard]] time_point when() const noexcept { return when_; }

  /// What is left, never below zero.
  [[nodiscard]] duration left() const noexcept {
    return std::max(duration::zero(), std::chrono::duration_cast<duration>(
                                        when_ - source_->now()));
  }

  /// What is left in whole milliseconds, rounded up: 0 only if passed.
  [[nodiscard]] std::chrono::milliseconds left_ms() const noexcept {
    return std::chrono::ceil<std::chrono::milliseconds>(left());
  }

  [[nodiscard]] bool passed() const noexcept { return source_->now() >= when_; }

  /// The earlier of this deadline and `budget` from now.
  [[nodiscard]] deadline at_most(duration budget) const {
    return deadline{std::min(when_, source_->now() + budget), *source_};
  }

private:
  deadline(time_point when, const clock& source)
    : when_(when),
      source_(&source) {
    // nop
  }

  time_point when_;
  const clock* source_;
};

} // namespace troupe
