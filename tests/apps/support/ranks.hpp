// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <thread>
#include <vector>

#include "troupe/comm/inproc/factory.hpp"

namespace troupe::test {

/// Runs `body(rank, communicator)` on a thread for each rank of one group and
/// rethrows the first exception in rank order.
inline void run_ranks(
  std::int32_t size,
  const std::function<void(std::int32_t, comm::communicator_ptr)>& body) {
  auto group = comm::inproc::make_group(size);
  std::vector<std::exception_ptr> problems(group.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < group.size(); ++i)
    threads.emplace_back([&, i] {
      try {
        body(static_cast<std::int32_t>(i), group[i]);
      } catch (...) {
        problems[i] = std::current_exception();
        group[i]->abort();
      }
    });
  for (auto& thread : threads)
    thread.join();
  for (const auto& problem : problems)
    if (problem)
      std::rethrow_exception(problem);
}

} // namespace troupe::test
