// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstring>

#include "troupe/bench/sync/sync_load.hpp"

namespace troupe::bench {

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

/// True if both hold the same bytes: a figure of a wrong copy is none.
inline bool same_bytes(const sync_tensors& a, const sync_tensors& b) {
  for (std::size_t i = 0; i < a.list.size(); ++i)
    if (std::memcmp(a.memory[i].data(), b.memory[i].data(), a.memory[i].size())
        != 0)
      return false;
  return true;
}

} // namespace troupe::bench
