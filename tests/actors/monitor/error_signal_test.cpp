// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/monitor/error_signal.hpp"

#include <boost/test/unit_test.hpp>

#include "support/actor_fixture.hpp"
#include "support/recorder.hpp"

using namespace troupe;
using monitor::error_signal;
using protocol::ack;
using protocol::error_history;
using protocol::error_report;
using protocol::get_errors;
using protocol::subscribe_errors;

namespace {

using recorder = test::recorder<error_report>;
using reports = std::shared_ptr<std::vector<error_report>>;

error_report report(std::string message) {
  error_report x;
  x.code = errc::failed;
  x.message = std::move(message);
  return x;
}

struct fixture : test::actor_fixture {
  protocol::error_signal_actor signal = spawn<error_signal>();
  reports got = std::make_shared<std::vector<error_report>>();

  protocol::error_listener_actor subscribe(const reports& into) {
    protocol::error_listener_actor listener = spawn<recorder>(into);
    ask_and_run<ack>(signal, subscribe_errors{listener}).value();
    return listener;
  }

  error_history history() {
    return ask_and_run<error_history>(signal, get_errors{}).value();
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(monitor_error_signal, fixture)

BOOST_AUTO_TEST_CASE(reports_are_numbered_and_dated) {
  auto claimed = report("first");
  claimed.id = 77;
  tell(signal, claimed);
  tell(signal, report("second"));
  auto known = history();
  BOOST_REQUIRE(known.items.size() == 2u);
  BOOST_TEST(known.items[0].id == 1u);
  BOOST_TEST(known.items[0].message == "first");
  BOOST_TEST(known.items[1].id == 2u);
  BOOST_TEST(known.items[0].time_ms > 0u);
  BOOST_TEST(known.dropped == 0u);
}

BOOST_AUTO_TEST_CASE(every_report_is_pushed_to_every_subscriber) {
  auto other = std::make_shared<std::vector<error_report>>();
  subscribe(got);
  subscribe(other);
  tell(signal, report("one"));
  tell(signal, report("two"));
  for (const auto& x : {got, other}) {
    BOOST_REQUIRE(x->size() == 2u);
    BOOST_TEST((*x)[0].message == "one");
    BOOST_TEST((*x)[0].id == 1u);
    BOOST_TEST((*x)[1].id == 2u);
  }
}

BOOST_AUTO_TEST_CASE(a_late_subscriber_gets_the_known_reports_first) {
  tell(signal, report("one"));
  tell(signal, report("two"));
  subscribe(got);
  tell(signal, report("three"));
  BOOST_REQUIRE(got->size() == 3u);
  BOOST_TEST((*got)[0].message == "one");
  BOOST_TEST((*got)[2].message == "three");
}

BOOST_AUTO_TEST_CASE(a_dead_subscriber_is_dropped_and_the_others_stay) {
  auto other = std::make_shared<std::vector<error_report>>();
  auto doomed = subscribe(got);
  subscribe(other);
  kill(doomed);
  tell(signal, report("one"));
  BOOST_TEST(got->empty());
  BOOST_TEST(other->size() == 1u);
}

BOOST_AUTO_TEST_CASE(the_history_is_bounded_and_counts_what_it_dropped) {
  auto many = error_signal::history_max + 10;
  for (std::size_t i = 0; i < many; ++i)
    caf::anon_send(signal, report(std::to_string(i)));
  run_jobs();
  auto known = history();
  BOOST_TEST(known.items.size() == std::size_t{error_signal::history_max});
  BOOST_TEST(known.dropped == 10u);
  BOOST_TEST(known.items.front().message == "10");
  BOOST_TEST(known.items.front().id == 11u);
  BOOST_TEST(known.items.back().id == many);
}

BOOST_AUTO_TEST_SUITE_END()
