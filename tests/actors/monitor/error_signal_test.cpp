// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/monitor/error_signal.hpp"

#include <boost/test/unit_test.hpp>

#include <random>

#include "support/actor_fixture.hpp"
#include "support/error_recorder.hpp"

using namespace troupe;
using monitor::error_signal;
using protocol::ack;
using protocol::error_history;
using protocol::error_report;
using protocol::get_errors;
using protocol::subscribe_errors;

namespace {

using notes = std::shared_ptr<test::error_notes>;

error_report report(std::string message) {
  error_report x;
  x.code = errc::failed;
  x.message = std::move(message);
  return x;
}

struct fixture : test::actor_fixture {
  protocol::error_signal_actor signal = spawn<error_signal>();
  notes told = std::make_shared<test::error_notes>();
  std::vector<error_report>& got = told->reports;

  protocol::error_listener_actor subscribe(const notes& into,
                                           bool from_now = false) {
    protocol::error_listener_actor listener = spawn<test::error_recorder>(into);
    ask_and_run<ack>(signal, subscribe_errors{listener, from_now}).value();
    return listener;
  }

  void tell_many(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
      caf::anon_send(signal, report(std::to_string(i)));
    run_jobs();
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
  auto other = std::make_shared<test::error_notes>();
  subscribe(told);
  subscribe(other);
  tell(signal, report("one"));
  tell(signal, report("two"));
  for (const auto& x : {told, other}) {
    BOOST_REQUIRE(x->reports.size() == 2u);
    BOOST_TEST(x->reports[0].message == "one");
    BOOST_TEST(x->reports[0].id == 1u);
    BOOST_TEST(x->reports[1].id == 2u);
  }
}

BOOST_AUTO_TEST_CASE(a_late_subscriber_gets_the_known_reports_first) {
  tell(signal, report("one"));
  tell(signal, report("two"));
  subscribe(told);
  tell(signal, report("three"));
  BOOST_REQUIRE(got.size() == 3u);
  BOOST_TEST(got[0].message == "one");
  BOOST_TEST(got[2].message == "three");
}

BOOST_AUTO_TEST_CASE(who_wants_only_what_comes_gets_nothing_older) {
  tell(signal, report("one"));
  subscribe(told, true);
  BOOST_TEST(got.empty());
  tell(signal, report("two"));
  BOOST_REQUIRE(got.size() == 1u);
  BOOST_TEST(got[0].message == "two");
}

BOOST_AUTO_TEST_CASE(a_dead_subscriber_is_dropped_and_the_others_stay) {
  auto other = std::make_shared<test::error_notes>();
  auto doomed = subscribe(told);
  subscribe(other);
  kill(doomed);
  tell(signal, report("one"));
  BOOST_TEST(got.empty());
  BOOST_TEST(other->reports.size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_subscriber_that_dies_owing_an_answer_is_dropped_too) {
  told->held = true;
  auto doomed = subscribe(told);
  tell(signal, report("one"));
  kill(doomed);
  tell_many(2 * error_signal::buffer_max);
  advance_time(error_signal::answer_timeout);
  BOOST_TEST(told->sizes.size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_slow_subscriber_gets_what_waited_all_at_once) {
  told->held = true;
  subscribe(told);
  tell_many(4);
  BOOST_TEST(told->sizes == (std::vector<std::size_t>{1}),
             boost::test_tools::per_element());
  told->release();
  run_jobs();
  BOOST_TEST(told->sizes == (std::vector<std::size_t>{1, 3}),
             boost::test_tools::per_element());
  BOOST_TEST(told->lost.back() == 0u);
  BOOST_TEST(got.back().message == "3");
}

BOOST_AUTO_TEST_CASE(one_that_is_too_slow_misses_the_oldest_and_is_told) {
  auto other = std::make_shared<test::error_notes>();
  told->held = true;
  subscribe(told);
  subscribe(other);
  // One by one: the other one keeps up.
  for (std::size_t i = 0; i < 1 + error_signal::buffer_max + 7; ++i)
    tell(signal, report(std::to_string(i)));
  told->release();
  run_jobs();
  BOOST_REQUIRE(told->sizes.size() == 2u);
  BOOST_TEST(told->sizes[1] == std::size_t{error_signal::buffer_max});
  BOOST_TEST(told->lost[1] == 7u);
  // 0 was told at once, 1 to 7 are lost.
  BOOST_TEST(got[1].message == "8");
  // Nobody else is slowed down or misses anything.
  BOOST_TEST(other->reports.size() == 1 + error_signal::buffer_max + 7);
  // And it is told once.
  tell(signal, report("last"));
  BOOST_TEST(told->lost.back() == 0u);
}

BOOST_AUTO_TEST_CASE(a_silent_subscriber_is_asked_with_nothing_new) {
  told->held = true;
  subscribe(told);
  tell_many(3);
  for (auto i = 0; i < 5; ++i)
    advance_time(error_signal::answer_timeout);
  BOOST_TEST(told->sizes == (std::vector<std::size_t>{1, 0, 0, 0, 0, 0}),
             boost::test_tools::per_element());
  told->release();
  run_jobs();
  BOOST_TEST(got.size() == 3u);
}

BOOST_AUTO_TEST_CASE(one_that_never_answers_is_forgotten) {
  told->held = true;
  subscribe(told);
  tell(signal, report("one"));
  for (auto i = 0; i < error_signal::silences_max; ++i)
    advance_time(error_signal::answer_timeout);
  auto before = told->sizes.size();
  BOOST_TEST(before == std::size_t{error_signal::silences_max});
  advance_time(error_signal::answer_timeout);
  told->release();
  run_jobs();
  tell(signal, report("two"));
  BOOST_TEST(told->sizes.size() == before);
}

BOOST_AUTO_TEST_CASE(subscribers_of_any_speed_hear_everything_in_order) {
  auto seed = test::random_seed();
  BOOST_TEST_INFO_SCOPE("TROUPE_SEED=" << seed);
  std::mt19937_64 random{seed};
  shuffle_jobs(random);
  std::vector<notes> all;
  for (auto i = 0; i < 4; ++i) {
    all.push_back(std::make_shared<test::error_notes>());
    all.back()->held = random() % 2 == 0;
    subscribe(all.back());
  }
  constexpr auto count = std::size_t{error_signal::buffer_max} + 400;
  for (std::size_t i = 0; i < count; ++i) {
    tell(signal, report("x"));
    if (auto& x = *all[random() % all.size()]; random() % 50 == 0) {
      x.release();
      x.held = random() % 2 == 0;
    }
  }
  for (auto& x : all)
    x->release();
  run_jobs();
  for (const auto& x : all) {
    auto lost = std::uint64_t{0};
    for (auto y : x->lost)
      lost += y;
    BOOST_TEST(x->reports.size() + lost == count);
    for (std::size_t i = 1; i < x->reports.size(); ++i)
      BOOST_TEST(x->reports[i - 1].id < x->reports[i].id);
    BOOST_TEST(x->reports.back().id == count);
  }
}

BOOST_AUTO_TEST_CASE(consequences_carry_their_cause_once_it_is_known) {
  tell_many(3);
  auto all = history().items;
  protocol::verdict x;
  x.root = all[1];
  x.consequences = {all[0], all[2]};
  tell(signal, x);
  auto known = history();
  BOOST_TEST(known.items[0].cause == 2u);
  BOOST_TEST(known.items[1].cause == 0u);
  BOOST_TEST(known.items[2].cause == 2u);
}

BOOST_AUTO_TEST_CASE(the_last_few_can_be_asked_for_and_all_are_counted) {
  tell_many(5);
  auto warning = report("careful");
  warning.level = protocol::severity::warning;
  tell(signal, warning);
  auto few = ask_and_run<error_history>(signal, get_errors{2}).value();
  BOOST_REQUIRE(few.items.size() == 2u);
  BOOST_TEST(few.items[0].message == "4");
  BOOST_TEST(few.items[1].message == "careful");
  BOOST_TEST(few.errors == 5u);
  BOOST_TEST(few.warnings == 1u);
  BOOST_TEST(history().items.size() == 6u);
}

BOOST_AUTO_TEST_CASE(the_history_is_bounded_and_counts_what_it_dropped) {
  auto many = error_signal::history_max + 10;
  tell_many(many);
  auto known = history();
  BOOST_TEST(known.items.size() == std::size_t{error_signal::history_max});
  BOOST_TEST(known.dropped == 10u);
  BOOST_TEST(known.items.front().message == "10");
  BOOST_TEST(known.items.front().id == 11u);
  BOOST_TEST(known.items.back().id == many);
}

BOOST_AUTO_TEST_CASE(what_is_told_once_is_not_recorded_again) {
  auto listener = subscribe(told);
  auto odd = report("goes nowhere");
  odd.operation = "sync t2p";
  odd.once = true;
  auto other = odd;
  other.operation = "sync t2r";
  for (const auto& x : {odd, odd, other, odd})
    tell(signal, x);
  BOOST_REQUIRE(got.size() == 2u);
  BOOST_TEST(got[0].operation == "sync t2p");
  BOOST_TEST(got[1].operation == "sync t2r");
  BOOST_TEST(got[1].id == 2u);
  // Others may say the same as often as it is so.
  odd.once = false;
  tell(signal, odd);
  BOOST_TEST(history().errors == 3u);
}

BOOST_AUTO_TEST_SUITE_END()
