// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/restart_policy.hpp"

#include <algorithm>
#include <utility>

namespace troupe::engine {

restart_policy::restart_policy(std::int64_t restarts_max,
                               std::chrono::milliseconds backoff)
  : restarts_max_(restarts_max),
    backoff_(backoff) {
  // nop
}

std::optional<std::chrono::milliseconds>
restart_policy::next(errc cause, std::int64_t saved_episode) {
  if (restarts_ >= restarts_max_ || cause == errc::invalid
      || cause == errc::refused)
    return std::nullopt;
  ++restarts_;
  auto stuck = saved_episode_ && saved_episode <= *saved_episode_;
  saved_episode_ = std::max(saved_episode, saved_episode_.value_or(-1));
  wait_ = std::min(stuck ? 2 * wait_ : backoff_, backoff_max);
  return wait_;
}

} // namespace troupe::engine
