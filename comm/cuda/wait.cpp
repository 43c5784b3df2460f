// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/cuda/wait.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "troupe/comm/cuda/check.hpp"

namespace troupe::comm::cuda {

namespace {

/// A small copy takes a few microseconds.
constexpr int eager_queries = 64;

/// Then whoever else wants the core gets it.
constexpr int polite_queries = 64;

constexpr std::chrono::microseconds first_pause{2};
constexpr std::chrono::microseconds longest_pause{50};

} // namespace

result<void> wait(runtime& api, event_handle event, deadline until,
                  const std::atomic<bool>* aborted, call_site where) {
  auto pause = first_pause;
  for (int queries = 0;; ++queries) {
    auto code = api.query(event);
    if (code == codes::success)
      return {};
    if (code != codes::not_ready)
      return check(api, code, "cudaEventQuery", where);
    if (aborted != nullptr && aborted->load(std::memory_order_acquire))
      return fail(errc::aborted, "waiting for the device was aborted");
    if (until.passed()) {
      auto text = scoped_rank::current().empty()
                    ? std::string{"the device's work"}
                    : fmt::format("the device's work for {}",
                                  scoped_rank::current());
      return fail(errc::timed_out,
                  fmt::format("{} was not done by the deadline; it may still "
                              "be under way",
                              text));
    }
    if (queries < eager_queries)
      continue;
    if (queries < eager_queries + polite_queries) {
      std::this_thread::yield();
      continue;
    }
    // CUDA wakes no thread by a deadline.
    std::this_thread::sleep_for(pause); // tidy: allow sleeps: as above
    pause = std::min(pause * 2, longest_pause);
  }
}

} // namespace troupe::comm::cuda
