// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstring>

#include "troupe/bench/sync/sync_load.hpp"
#include "troupe/bench/sync/two_processes.hpp"
#include "troupe/comm/transfer/executor.hpp"
#include "troupe/core/deadline.hpp"

namespace troupe::bench {

/// More than anything here takes.
inline deadline ample() {
  return deadline::after(std::chrono::seconds{120});
}

/// Seconds that `f` takes.
template <class F>
double seconds_of(F f) {
  auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
    .count();
}

/// Seconds that one thread takes to copy every tensor.
inline double seconds_of_memcpy(const sync_tensors& to,
                                const sync_tensors& from) {
  return seconds_of([&] {
    for (std::size_t i = 0; i < to.list.size(); ++i)
      std::memcpy(to.memory[i].data(), from.memory[i].data(),
                  to.memory[i].size());
  });
}

/// Seconds of a run that both ends begin together.
inline result<double> timed_run(const two_processes& with,
                                comm::transfer::executor& x,
                                comm::transfer::run_mode mode) {
  if (auto met = with.exchange({}, ample()); !met)
    return fail(met.error());
  result<void> done;
  auto seconds = seconds_of([&] { done = x.run({mode, false}, ample()); });
  if (!done)
    return fail(done.error());
  return seconds;
}

/// True if both hold the same bytes: a figure of a wrong copy is none.
inline bool same_bytes(const sync_tensors& a, const sync_tensors& b) {
  for (std::size_t i = 0; i < a.list.size(); ++i)
    if (std::memcmp(a.memory[i].data(), b.memory[i].data(), a.memory[i].size())
        != 0)
      return false;
  return true;
}

} // namespace troupe::bench
