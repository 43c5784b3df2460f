// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/node_return.hpp"

#include <boost/test/unit_test.hpp>

#include <string>
#include <vector>

using namespace troupe;
using namespace std::chrono_literals;

namespace {

/// Time passes in pauses alone.
struct fixture {
  manual_clock time;
  std::vector<std::string> said;
  int attempts = 0;
  bool interrupted = false;

  result<void> wait(const std::function<result<void>(int)>& answer,
                    std::chrono::milliseconds budget) {
    engine::node_patience patience{[this](std::chrono::milliseconds x) {
                                     time.advance(x);
                                     return !interrupted;
                                   },
                                   [this](std::string_view x) {
                                     said.emplace_back(x);
                                   }};
    return engine::await_return(
      "node 1 (a:1, m2)", [&] { return answer(++attempts); }, patience,
      deadline::after(budget, time));
  }

  static result<void> away() {
    return fail(errc::unavailable, "nobody listens");
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(engine_node_return, fixture)

BOOST_AUTO_TEST_CASE(a_node_that_is_there_is_not_waited_for) {
  BOOST_TEST(wait([](int) { return result<void>{}; }, 60s).has_value());
  BOOST_TEST(attempts == 1);
  BOOST_TEST(said.empty());
}

BOOST_AUTO_TEST_CASE(a_node_that_comes_back_is_taken) {
  for (auto code :
       {errc::unavailable, errc::lost, errc::timed_out, errc::exhausted}) {
    attempts = 0;
    auto back = wait(
      [code](int i) -> result<void> {
        if (i < 3)
          return fail(code, "not yet");
        return {};
      },
      60s);
    BOOST_TEST(back.has_value());
    BOOST_TEST(attempts == 3);
  }
}

BOOST_AUTO_TEST_CASE(people_are_told_for_whom_and_for_how_long) {
  BOOST_TEST(!wait([](int) { return away(); }, 25s));
  BOOST_REQUIRE(said.size() == 3u);
  BOOST_TEST(said[0]
             == "Waiting for node 1 (a:1, m2) to come back, for 25 s at most");
  BOOST_TEST(said[1]
             == "Waiting for node 1 (a:1, m2) to come back, for 15 s at most");
  BOOST_TEST(said[2]
             == "Waiting for node 1 (a:1, m2) to come back, for 5 s at most");
}

BOOST_AUTO_TEST_CASE(who_stays_away_is_given_up_when_the_time_is_over) {
  auto begin = time.now();
  auto back = wait([](int) { return away(); }, 1500ms);
  BOOST_REQUIRE(!back);
  BOOST_TEST((time.now() - begin == 1500ms));
  BOOST_TEST((back.error().code() == errc::unavailable));
  BOOST_TEST(back.error().message()
             == "node 1 (a:1, m2): nobody listens; it has not come back in "
                "time (runtime.node_return_ms)");
}

BOOST_AUTO_TEST_CASE(what_time_does_not_mend_ends_the_wait) {
  auto back = wait([](int) { return fail(errc::refused, "another build"); },
                   60s);
  BOOST_REQUIRE(!back);
  BOOST_TEST((back.error().code() == errc::refused));
  BOOST_TEST(attempts == 1);
  BOOST_TEST(back.error().message().find("another build") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(an_interruption_ends_the_wait_at_once) {
  interrupted = true;
  auto back = wait([](int) { return away(); }, 60s);
  BOOST_REQUIRE(!back);
  BOOST_TEST((back.error().code() == errc::aborted));
  BOOST_TEST(attempts == 1);
}

BOOST_AUTO_TEST_SUITE_END()
