// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/monitor/error_monitor.hpp"

#include <boost/test/unit_test.hpp>

#include "support/actor_fixture.hpp"
#include "support/recorder.hpp"
#include "support/stub_node.hpp"
#include "troupe/actors/monitor/error_signal.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using monitor::error_monitor;
using protocol::ack;
using protocol::error_report;
using protocol::subscribe_verdict;
using protocol::verdict;

namespace {

using lines = std::vector<std::string>;

error_report report(std::uint64_t id, errc code, std::string message) {
  error_report x;
  x.id = id;
  x.code = code;
  x.operation = "generate";
  x.message = std::move(message);
  return x;
}

struct fixture : test::actor_fixture {
  std::shared_ptr<lines> told = std::make_shared<lines>();
  std::shared_ptr<std::vector<verdict>>
    got = std::make_shared<std::vector<verdict>>();
  protocol::error_monitor_actor watcher;

  void make(std::vector<bool> nodes_silent, std::uint32_t attempt = 0) {
    std::vector<protocol::node_actor> nodes;
    for (bool silent : nodes_silent)
      nodes.push_back(spawn<test::stub_node>(told, silent));
    watcher = spawn<error_monitor>(nodes, attempt);
    subscribe(got);
  }

  void hear(const error_report& x) {
    tell(watcher, protocol::error_news{{x}, 0});
  }

  void subscribe(const std::shared_ptr<std::vector<verdict>>& into) {
    ask_and_run<ack>(watcher,
                     subscribe_verdict{spawn<test::recorder<verdict>>(into)})
      .value();
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(monitor_error_monitor, fixture)

BOOST_AUTO_TEST_CASE(the_first_error_aborts_every_node_at_once) {
  make({false, false});
  hear(report(1, errc::failed, "out of tea"));
  BOOST_TEST(*told
               == (lines{"abort: generate: out of tea",
                         "abort: generate: out of tea"}),
             boost::test_tools::per_element());
  BOOST_TEST(got->empty());
}

BOOST_AUTO_TEST_CASE(it_concludes_after_the_grace_with_what_came_meanwhile) {
  make({false});
  hear(report(1, errc::lost, "a peer is gone"));
  advance_time(error_monitor::grace - 1ms);
  BOOST_TEST(got->empty());
  hear(report(2, errc::failed, "out of tea"));
  hear(report(3, errc::aborted, "stopped"));
  BOOST_TEST(told->size() == 1u);
  advance_time(1ms);
  BOOST_REQUIRE(got->size() == 1u);
  BOOST_TEST(got->front().root.id == 2u);
  BOOST_TEST(got->front().consequences.size() == 2u);
}

BOOST_AUTO_TEST_CASE(it_waits_longer_while_all_it_hears_is_what_others_missed) {
  make({false});
  hear(report(1, errc::lost, "a peer is gone"));
  advance_time(error_monitor::grace);
  advance_time(error_monitor::grace);
  BOOST_TEST(got->empty());
  auto cause = report(2, errc::lost, "was killed by signal 9");
  cause.operation = "process";
  hear(cause);
  advance_time(error_monitor::grace);
  BOOST_REQUIRE(got->size() == 1u);
  BOOST_TEST(got->front().root.id == 2u);
}

BOOST_AUTO_TEST_CASE(it_does_not_wait_for_a_cause_for_ever) {
  make({false});
  hear(report(1, errc::lost, "a peer is gone"));
  for (auto i = 0; i < error_monitor::more_graces; ++i)
    advance_time(error_monitor::grace);
  BOOST_TEST(got->empty());
  advance_time(error_monitor::grace);
  BOOST_REQUIRE(got->size() == 1u);
  BOOST_TEST(got->front().root.id == 1u);
}

BOOST_AUTO_TEST_CASE(a_node_that_does_not_answer_delays_nothing) {
  make({true, false});
  hear(report(1, errc::failed, "out of tea"));
  BOOST_TEST(told->size() == 2u);
  advance_time(error_monitor::grace);
  BOOST_TEST(got->size() == 1u);
  advance_time(10s);
  BOOST_TEST(got->size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_warning_stops_nothing) {
  make({false});
  auto x = report(1, errc::failed, "careful");
  x.level = protocol::severity::warning;
  hear(x);
  advance_time(10s);
  BOOST_TEST(told->empty());
  BOOST_TEST(got->empty());
}

BOOST_AUTO_TEST_CASE(what_fails_of_an_attempt_that_has_ended_stops_nothing) {
  make({false}, 2);
  auto late = report(1, errc::failed, "out of tea");
  late.attempt = 1;
  hear(late);
  advance_time(10s);
  BOOST_TEST(told->empty());
  BOOST_TEST(got->empty());
  auto own = report(2, errc::aborted, "stopped");
  own.attempt = 2;
  hear(own);
  // Of nobody's attempt.
  hear(report(3, errc::timed_out, "slow"));
  hear(late);
  advance_time(error_monitor::grace);
  BOOST_REQUIRE(got->size() == 1u);
  BOOST_TEST(got->front().root.id == 3u);
  BOOST_REQUIRE(got->front().consequences.size() == 1u);
  BOOST_TEST(got->front().consequences.front().id == 2u);
}

BOOST_AUTO_TEST_CASE(there_is_one_verdict_whatever_comes_later) {
  make({false});
  hear(report(1, errc::failed, "out of tea"));
  advance_time(1s);
  hear(report(2, errc::failed, "out of milk"));
  advance_time(1s);
  BOOST_TEST(got->size() == 1u);
  BOOST_TEST(told->size() == 1u);
}

BOOST_AUTO_TEST_CASE(who_subscribes_after_the_verdict_gets_it_at_once) {
  make({});
  hear(report(1, errc::failed, "out of tea"));
  advance_time(1s);
  auto late = std::make_shared<std::vector<verdict>>();
  subscribe(late);
  BOOST_REQUIRE(late->size() == 1u);
  BOOST_TEST(late->front().root.id == 1u);
}

BOOST_AUTO_TEST_CASE(reports_reach_it_through_the_error_signal) {
  make({false});
  protocol::error_signal_actor signal = spawn<monitor::error_signal>();
  ask_and_run<ack>(signal, protocol::subscribe_errors{watcher}).value();
  tell(signal, report(0, errc::failed, "out of tea"));
  tell(signal, report(0, errc::lost, "a peer is gone"));
  advance_time(error_monitor::grace);
  BOOST_REQUIRE(got->size() == 1u);
  BOOST_TEST(got->front().root.id == 1u);
  BOOST_TEST(got->front().consequences.front().cause == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
