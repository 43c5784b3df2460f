// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "troupe/core/clock.hpp"

namespace troupe::net {

/// Decides when somebody who gives signs of life has fallen silent.
///
/// Whoever watches may be held up itself: frozen, or on a machine without time
/// for it. It then finds that nobody was heard for long, which says nothing
/// about the others. So a watch that is called late by more than half the
/// timeout gives everybody a full timeout again.
///
/// Signs that come late, though not so late, are a second thing to know: the
/// other side, or the way to it, has no time. By the same token nobody is called
/// late while the watch itself was.
///
/// No threads, no sockets: time comes from the clock handed in.
class silence_watch {
public:
  enum class change : std::uint8_t {
    none,
    /// Silent for longer than the timeout.
    fell_silent,
    /// Heard again after that.
    spoke_again,
  };

  /// Counts from now. `pulse`: how often `tick` is called at least. `source`
  /// must outlive the watch.
  silence_watch(duration pulse, duration timeout,
                const clock& source = steady_clock());

  /// A sign has come.
  change heard();

  /// To be called at `next`, early or late.
  change tick();

  /// When to call `tick` next: a pulse after the last call, or at the moment
  /// at which the silence becomes too long.
  [[nodiscard]] time_point next() const noexcept { return next_; }

  /// Since the last sign, or since the watch was held up.
  [[nodiscard]] duration silence() const noexcept;

  /// By how much the sign that was heard last came later than a pulse after the
  /// one before; 0 if it was on time, if it ended a silence that was reported, or
  /// if the watch was called late itself meanwhile by more than half of that. The
  /// first sign is never late: the other side may just have begun.
  [[nodiscard]] duration late() const noexcept { return late_; }

private:
  void plan(time_point now);

  duration pulse_;
  duration timeout_;
  const clock* clock_;
  time_point since_;
  time_point next_;
  /// The longest that the watch itself was late since the last sign.
  duration own_delay_{};
  duration late_{};
  bool begun_ = false;
  bool silent_ = false;
};

} // namespace troupe::net
