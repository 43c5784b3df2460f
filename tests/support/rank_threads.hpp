// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <thread>
#include <type_traits>
#include <vector>

namespace troupe::test {

/// Calls `body(rank)` for every rank in a thread of its own and gives back what
/// each returned. Boost's checks are for the caller: they are not thread-safe.
template <class F>
auto in_threads(std::size_t ranks, F body) {
  using value = std::invoke_result_t<F, std::size_t>;
  std::vector<value> out(ranks);
  std::vector<std::thread> threads;
  for (std::size_t rank = 0; rank < ranks; ++rank)
    threads.emplace_back([&out, &body, rank] { out[rank] = body(rank); });
  for (auto& x : threads)
    x.join();
  return out;
}

} // namespace troupe::test
