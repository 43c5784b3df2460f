// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "troupe/bench/sync/rates.hpp"
#include "troupe/core/error.hpp"

namespace troupe::bench {

/// Calls `f(add)` once more than `rounds`; `add(to, seconds)` keeps the seconds
/// of all calls but the first, which is for caches, clocks and first launches.
template <class F>
result<void> each_round(std::size_t rounds, F f) {
  for (std::size_t i = 0; i <= rounds; ++i) {
    auto add = [i](seconds_list& to,
                   const result<double>& seconds) -> result<void> {
      if (!seconds)
        return fail(seconds.error());
      if (i > 0)
        to.push_back(*seconds);
      return {};
    };
    if (auto done = f(add); !done)
      return done;
  }
  return {};
}

} // namespace troupe::bench
