// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/cuda/wait.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include <fmt/format.h>
#include <sys/prctl.h>

#include "troupe/comm/cuda/check.hpp"

namespace troupe::comm::cuda {

namespace {

/// A small copy takes a few microseconds.
constexpr int eager_queries = 64;

/// Then whoever else wants the core gets it.
constexpr int polite_queries = 64;

/// A pause is a part of what was waited, so that a wait is late by no more.
constexpr int pause_part = 64;
constexpr std::chrono::microseconds shortest_pause{2};
constexpr std::chrono::microseconds longest_pause{50};

/// Linux lets a thread sleep 50 us longer than it asks for, unless told.
void sleep_exactly() {
  thread_local const int told = ::prctl(PR_SET_TIMERSLACK, 1UL);
  static_cast<void>(told);
}

} // namespace

result<void> wait(runtime& api, event_handle event, deadline until,
                  const std::atomic<bool>* aborted, call_site where) {
  auto begin = std::chrono::steady_clock::now();
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
    sleep_exactly();
    auto waited = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - begin);
    auto pause = std::clamp(waited / pause_part, shortest_pause, longest_pause);
    std::this_thread::sleep_for(pause); // tidy: allow sleeps: as above
  }
}

} // namespace troupe::comm::cuda
