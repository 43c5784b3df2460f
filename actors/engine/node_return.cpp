// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/node_return.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace troupe::engine {

namespace {

using std::chrono::milliseconds;

constexpr auto attempt_interval = milliseconds{200};

/// Of what is said.
constexpr auto word_interval = milliseconds{10'000};

/// A node that is away, ends, begins, or works for somebody else.
bool may_pass(errc x) {
  return x == errc::unavailable || x == errc::lost || x == errc::timed_out
         || x == errc::exhausted;
}

} // namespace

result<void> await_return(std::string_view who,
                          const std::function<result<void>()>& attempt,
                          const node_patience& patience, deadline until) {
  auto next_word = until.left_ms();
  for (;;) {
    auto back = attempt();
    if (back)
      return {};
    const auto& why = back.error();
    if (!may_pass(why.code()))
      return fail(why.within(who));
    auto left = until.left_ms();
    if (left.count() == 0)
      return fail(why.code(), fmt::format("{}: {}; it has not come back in "
                                          "time (runtime.node_return_ms)",
                                          who, why.message()));
    if (left <= next_word) {
      patience.say(fmt::format("Waiting for {} to come back, for {} s at most",
                               who, (left.count() + 999) / 1000));
      next_word = left - word_interval;
    }
    if (!patience.pause(std::min(attempt_interval, left)))
      return fail(errc::aborted,
                  fmt::format("nobody waits for {} any more", who));
  }
}

} // namespace troupe::engine
