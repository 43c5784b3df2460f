// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/silence_watch.hpp"

#include <boost/test/unit_test.hpp>

#include <chrono>

using namespace troupe;
using namespace troupe::net;
using namespace std::chrono_literals;
using change = troupe::net::silence_watch::change;

namespace {

struct fixture {
  manual_clock time;
  net::silence_watch watch{100ms, 800ms, time};

  /// Goes to the moment of the next tick and ticks.
  change step() {
    time.advance(
      std::chrono::duration_cast<duration>(watch.next() - time.now()));
    return watch.tick();
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(silence_watch, fixture)

BOOST_AUTO_TEST_CASE(silence_is_reported_at_the_timeout_and_once) {
  auto began = time.now();
  for (auto x = step(); x != change::fell_silent; x = step())
    BOOST_REQUIRE((time.now() - began < 1s));
  BOOST_TEST((time.now() - began == 800ms));
  BOOST_TEST((watch.silence() == 800ms));
  for (int i = 0; i < 50; ++i)
    BOOST_TEST((step() == change::none));
  BOOST_TEST((watch.heard() == change::spoke_again));
  BOOST_TEST((watch.heard() == change::none));
}

BOOST_AUTO_TEST_CASE(a_sign_each_pulse_is_no_silence) {
  for (int i = 0; i < 100; ++i) {
    BOOST_TEST((step() == change::none));
    BOOST_TEST((watch.heard() == change::none));
  }
}

BOOST_AUTO_TEST_CASE(the_timeout_is_met_between_two_pulses) {
  step();
  time.advance(50ms);
  watch.heard();
  auto heard = time.now();
  while (step() != change::fell_silent)
    BOOST_REQUIRE((time.now() - heard < 1s));
  BOOST_TEST((time.now() - heard == 800ms));
}

BOOST_AUTO_TEST_CASE(who_was_held_up_takes_nobody_for_silent_at_first) {
  step();
  // A minute without time, then a tick before anything was read.
  time.advance(1min);
  BOOST_TEST((watch.tick() == change::none));
  auto back = time.now();
  while (step() != change::fell_silent)
    BOOST_REQUIRE((time.now() - back < 1s));
  BOOST_TEST((time.now() - back == 800ms));
}

BOOST_AUTO_TEST_CASE(a_little_late_is_not_held_up) {
  auto began = time.now();
  auto x = change::none;
  while (x == change::none) {
    BOOST_REQUIRE((time.now() - began < 2s));
    time.advance(std::chrono::duration_cast<duration>(watch.next() - time.now())
                 + 300ms);
    x = watch.tick();
  }
  BOOST_TEST((x == change::fell_silent));
  BOOST_TEST((time.now() - began <= 1200ms));
}

BOOST_AUTO_TEST_CASE(a_sign_that_comes_late_is_late_by_what_is_beyond_a_pulse) {
  for (auto i = 0; i < 3; ++i) {
    step();
    watch.heard();
    BOOST_TEST((watch.late() == 0ms));
  }
  for (auto i = 0; i < 5; ++i)
    BOOST_TEST((step() == change::none));
  watch.heard();
  BOOST_TEST((watch.late() == 400ms));
  step();
  watch.heard();
  BOOST_TEST((watch.late() == 0ms));
}

BOOST_AUTO_TEST_CASE(the_first_sign_is_not_late) {
  for (auto i = 0; i < 5; ++i)
    step();
  watch.heard();
  BOOST_TEST((watch.late() == 0ms));
}

BOOST_AUTO_TEST_CASE(who_was_held_up_itself_calls_nobody_late) {
  watch.heard();
  step();
  watch.heard();
  // Late in ticking, with the sign behind it.
  time.advance(600ms);
  watch.tick();
  watch.heard();
  BOOST_TEST((watch.late() == 0ms));
  // Late in hearing, before any tick.
  time.advance(600ms);
  watch.heard();
  BOOST_TEST((watch.late() == 0ms));
}

BOOST_AUTO_TEST_CASE(what_was_reported_as_silence_is_not_late_too) {
  watch.heard();
  while (step() != change::fell_silent)
    BOOST_REQUIRE((watch.silence() < 1s));
  BOOST_TEST((watch.heard() == change::spoke_again));
  BOOST_TEST((watch.late() == 0ms));
}

BOOST_AUTO_TEST_SUITE_END()
