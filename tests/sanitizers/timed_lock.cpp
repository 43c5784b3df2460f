// SPDX-License-Identifier: Apache-2.0
// What std::timed_mutex locks with. The ThreadSanitizer of gcc 12 does not know
// it, and takes what such a mutex guards for unguarded; it does know the older
// function that has its deadline on the other clock.
#include <pthread.h>

#include <ctime>

#ifdef __SANITIZE_THREAD__

namespace {

constexpr long long second = 1'000'000'000;

long long in_ns(const timespec& x) {
  return x.tv_sec * second + x.tv_nsec;
}

} // namespace

extern "C" int pthread_mutex_clocklock(pthread_mutex_t* mutex, clockid_t clock,
                                       const timespec* until) noexcept {
  timespec here{};
  timespec there{};
  ::clock_gettime(clock, &here);
  ::clock_gettime(CLOCK_REALTIME, &there);
  auto at = in_ns(there) + in_ns(*until) - in_ns(here);
  timespec out{at / second, at % second};
  return ::pthread_mutex_timedlock(mutex, &out);
}

#endif
