// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/silence_watch.hpp"

#include <algorithm>

namespace troupe::net {

silence_watch::silence_watch(duration pulse, duration timeout,
                             const clock& source)
  : pulse_(pulse),
    timeout_(timeout),
    clock_(&source),
    since_(source.now()) {
  plan(since_);
}

silence_watch::change silence_watch::heard() {
  auto now = clock_->now();
  own_delay_ = std::max<duration>(own_delay_, now - next_);
  late_ = std::max<duration>(now - since_ - pulse_, duration::zero());
  if (!begun_ || silent_ || 2 * own_delay_ > late_)
    late_ = duration::zero();
  begun_ = true;
  own_delay_ = duration::zero();
  since_ = now;
  if (!silent_)
    return change::none;
  silent_ = false;
  return change::spoke_again;
}

silence_watch::change silence_watch::tick() {
  auto now = clock_->now();
  own_delay_ = std::max<duration>(own_delay_, now - next_);
  auto held_up = now - next_ > timeout_ / 2;
  if (held_up && !silent_)
    since_ = now;
  auto fell_silent = !silent_ && now - since_ >= timeout_;
  silent_ = silent_ || fell_silent;
  plan(now);
  return fell_silent ? change::fell_silent : change::none;
}

duration silence_watch::silence() const noexcept {
  return clock_->now() - since_;
}

void silence_watch::plan(time_point now) {
  next_ = now + pulse_;
  if (!silent_)
    next_ = std::min(next_, std::max(now, since_ + timeout_));
}

} // namespace troupe::net
