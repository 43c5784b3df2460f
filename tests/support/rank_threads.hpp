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
  // The values of a `vector<bool>` are bits of one word: threads that each
  // write their own would undo each other's.
  static_assert(!std::is_same_v<value, bool>,
                "return a result, an int or a struct");
  std::vector<value> out(ranks);
  std::vector<std::thread> threads;
  for (std::size_t rank = 0; rank < ranks; ++rank)
    threads.emplace_back([&out, &body, rank] { out[rank] = body(rank); });
  for (auto& x : threads)
    x.join();
  return out;
}

} // namespace troupe::test
