// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/restart_policy.hpp"

#include <boost/test/unit_test.hpp>

using namespace troupe;
using engine::restart_policy;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(engine_restart_policy)

BOOST_AUTO_TEST_CASE(without_restarts_every_failure_is_the_last) {
  restart_policy x{0, 500ms};
  BOOST_TEST(!x.next(errc::lost, 10));
  BOOST_TEST(x.restarts() == 0);
}

BOOST_AUTO_TEST_CASE(restarts_are_counted_over_the_whole_run) {
  restart_policy x{2, 500ms};
  BOOST_TEST((x.next(errc::lost, 10) == 500ms));
  BOOST_TEST((x.next(errc::failed, 20) == 500ms));
  BOOST_TEST(!x.next(errc::lost, 30));
  BOOST_TEST(x.restarts() == 2);
}

BOOST_AUTO_TEST_CASE(what_another_attempt_cannot_change_is_not_tried_again) {
  for (auto cause : {errc::invalid, errc::refused}) {
    restart_policy x{5, 500ms};
    BOOST_TEST(!x.next(cause, 10));
    BOOST_TEST(x.restarts() == 0);
  }
}

BOOST_AUTO_TEST_CASE(attempts_that_get_nowhere_wait_longer_and_longer) {
  restart_policy x{100, 500ms};
  // Nothing was ever saved.
  BOOST_TEST((x.next(errc::lost, -1) == 500ms));
  BOOST_TEST((x.next(errc::lost, -1) == 1000ms));
  BOOST_TEST((x.next(errc::lost, -1) == 2000ms));
  // It gets on.
  BOOST_TEST((x.next(errc::lost, 0) == 500ms));
  BOOST_TEST((x.next(errc::lost, 0) == 1000ms));
  for (auto i = 0; i < 20; ++i)
    static_cast<void>(x.next(errc::lost, 0));
  BOOST_TEST((x.next(errc::lost, 0) == restart_policy::backoff_max));
  BOOST_TEST((x.next(errc::lost, 1) == 500ms));
}

BOOST_AUTO_TEST_CASE(a_back_off_of_nothing_stays_nothing) {
  restart_policy x{100, 0ms};
  for (auto i = 0; i < 5; ++i)
    BOOST_TEST((x.next(errc::lost, -1) == 0ms));
}

BOOST_AUTO_TEST_SUITE_END()
