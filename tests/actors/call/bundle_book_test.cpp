// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/call/bundle_book.hpp"

#include <random>

#include <boost/test/unit_test.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/call/asking_client.hpp"
#include "support/actor_fixture.hpp"
#include "support/random_seed.hpp"

using namespace troupe;
using call_test::asking_client;
using namespace std::chrono_literals;
using protocol::ack;
using protocol::bundle;
using protocol::bundle_answers;
using protocol::close_model;
using protocol::get_rest;

namespace {

/// Whoever passes on bundles, and counts them.
class courier : public protocol::courier_actor::base {
public:
  explicit courier(caf::actor_config& config)
    : protocol::courier_actor::base(config),
      calls_(this) {
    // nop
  }

  const char* name() const override { return "courier"; }

  void on_exit() override { book.close(); }

  std::size_t bundles = 0;
  std::size_t parcels = 0;
  std::size_t asked_for_more = 0;
  call::bundle_book book;

protected:
  behavior_type make_behavior() override {
    return {
      [this](const bundle& x) {
        ++bundles;
        parcels += x.items.size();
        return book.pass_on(this, calls_, x);
      },
      [this](const get_rest& x) {
        ++asked_for_more;
        return book.fetch(this, x);
      },
    };
  }

private:
  call::caller<courier> calls_;
};

using target_actor = caf::typed_actor<caf::replies_to<close_model>::with<ack>>;

/// Answers when the test says so.
class target : public target_actor::base {
public:
  explicit target(caf::actor_config& config) : target_actor::base(config) {
    // nop
  }

  const char* name() const override { return "target"; }

  void on_exit() override { open.clear(); }

  std::vector<call::reply<ack>> open;
  std::vector<std::uint32_t> heard;

protected:
  behavior_type make_behavior() override {
    return {[this](const close_model& x) {
      heard.push_back(x.timeout_ms);
      open.emplace_back(make_response_promise<ack>());
      return open.back().promise();
    }};
  }
};

struct fixture : test::actor_fixture {
  caf::actor handle = spawn<asking_client>();
  asking_client& self = object_of<asking_client>(handle);
  protocol::courier_actor node = spawn<courier>();
  protocol::courier_actor host = spawn<courier>();
  std::vector<target_actor> targets{spawn<target>(), spawn<target>(),
                                    spawn<target>()};

  using actor_fixture::ask;

  test::answer<ack> ask(const target_actor& whom,
                        std::chrono::milliseconds timeout = 1s) {
    return self.ask<ack>(whom, timeout, close_model{call::to_ms(timeout)});
  }

  /// Asks all of them together.
  std::vector<test::answer<ack>> ask_all(const std::vector<target_actor>& all) {
    std::vector<test::answer<ack>> out;
    auto together = self.calls.collect();
    for (const auto& x : all)
      out.push_back(ask(x));
    return out;
  }

  courier& at(const protocol::courier_actor& x) {
    return object_of<courier>(x);
  }

  target& of(std::size_t i) { return object_of<target>(targets[i]); }

  void route_all(const std::vector<protocol::courier_actor>& hops) {
    std::vector<caf::actor> via;
    for (const auto& x : hops)
      via.push_back(caf::actor_cast<caf::actor>(x));
    for (const auto& x : targets)
      self.calls.route(x, via);
  }

  void answer(std::size_t i, result<ack> x = ack{}) {
    of(i).open.front().deliver(std::move(x));
    of(i).open.erase(of(i).open.begin());
    run_jobs();
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(call_bundle_book, fixture)

BOOST_AUTO_TEST_CASE(what_is_asked_together_takes_one_message) {
  route_all({node});
  auto got = ask_all(targets);
  run_jobs();
  BOOST_TEST(at(node).bundles == 1u);
  BOOST_TEST(at(node).parcels == 3u);
  for (std::size_t i = 0; i < 3; ++i)
    BOOST_TEST(of(i).heard.size() == 1u);
  answer(1);
  answer(0);
  // Answers wait for each other on their way back.
  BOOST_TEST(!got[0].ready());
  answer(2);
  for (const auto& x : got)
    x.value();
  BOOST_TEST(at(node).asked_for_more == 0u);
  BOOST_TEST(at(node).book.size() == 0u);
  BOOST_TEST(self.calls.pending() == 0u);
}

BOOST_AUTO_TEST_CASE(a_tree_of_two_hops_takes_one_message_a_hop) {
  route_all({node, host});
  auto got = ask_all(targets);
  run_jobs();
  BOOST_TEST(at(node).bundles == 1u);
  BOOST_TEST(at(host).bundles == 1u);
  BOOST_TEST(at(host).parcels == 3u);
  for (std::size_t i = 0; i < 3; ++i)
    answer(i);
  for (const auto& x : got)
    x.value();
}

BOOST_AUTO_TEST_CASE(what_is_asked_alone_goes_the_same_way) {
  route_all({node});
  auto got = ask(targets[0]);
  run_jobs();
  BOOST_TEST(at(node).bundles == 1u);
  answer(0);
  got.value();
}

BOOST_AUTO_TEST_CASE(requests_to_one_target_stay_in_order) {
  route_all({node, host});
  for (std::uint32_t i = 1; i <= 20; ++i)
    ask(targets[0], std::chrono::milliseconds{1000 + i});
  run_jobs();
  BOOST_REQUIRE(of(0).heard.size() == 20u);
  for (std::uint32_t i = 1; i <= 20; ++i)
    BOOST_TEST(of(0).heard[i - 1] == 1000 + i);
}

BOOST_AUTO_TEST_CASE(without_a_route_nobody_is_in_between) {
  auto got = ask_all(targets);
  run_jobs();
  BOOST_TEST(at(node).bundles == 0u);
  answer(2);
  got[2].value();
  route_all({node});
  route_all({});
  ask(targets[0]);
  run_jobs();
  BOOST_TEST(at(node).bundles == 0u);
}

BOOST_AUTO_TEST_CASE(a_failure_does_not_wait_for_the_others) {
  route_all({node, host});
  auto got = ask_all(targets);
  run_jobs();
  answer(0);
  answer(1, fail(errc::failed, "the module threw"));
  BOOST_TEST((got[1].failure() == error{errc::failed, "the module threw"}));
  // What was there came along.
  got[0].value();
  BOOST_TEST(!got[2].ready());
  BOOST_TEST(at(node).asked_for_more == 1u);
  answer(2, fail(errc::failed, "so did this one"));
  BOOST_TEST(got[2].failure().message() == "so did this one");
  BOOST_TEST(at(node).book.size() == 0u);
  BOOST_TEST(at(host).book.size() == 0u);
}

BOOST_AUTO_TEST_CASE(a_target_that_dies_fails_its_calls_alone) {
  route_all({node, host});
  kill(targets[1]);
  auto got = ask_all(targets);
  run_jobs();
  BOOST_TEST((got[1].failure().code() == errc::lost));
  answer(0);
  answer(2);
  got[0].value();
  got[2].value();
}

BOOST_AUTO_TEST_CASE(whoever_dies_on_the_way_fails_all_at_once) {
  route_all({node, host});
  auto got = ask_all(targets);
  run_jobs();
  answer(0);
  kill(host);
  run_jobs();
  // What was there comes along.
  got[0].value();
  BOOST_TEST((got[1].failure().code() == errc::lost));
  BOOST_TEST((got[2].failure().code() == errc::lost));
  auto later = ask(targets[0]);
  run_jobs();
  BOOST_TEST((later.failure().code() == errc::lost));
  kill(node);
  auto last = ask(targets[0]);
  BOOST_TEST((last.failure().code() == errc::lost));
}

BOOST_AUTO_TEST_CASE(each_request_has_its_own_deadline) {
  route_all({node, host});
  test::answer<ack> first;
  test::answer<ack> second;
  {
    auto together = self.calls.collect();
    first = ask(targets[0], 100ms);
    second = ask(targets[1], 10s);
  }
  run_jobs();
  advance_time(101ms);
  BOOST_TEST((first.failure().code() == errc::timed_out));
  BOOST_TEST(!second.ready());
  answer(1);
  second.value();
}

BOOST_AUTO_TEST_CASE(a_courier_that_is_stuck_is_not_waited_for) {
  auto stuck = spawn<target>();
  self.calls.route(targets[0], {caf::actor_cast<caf::actor>(stuck)});
  auto got = ask(targets[0], 100ms);
  run_jobs();
  // It does not even know what a bundle is.
  BOOST_TEST(!got.get().has_value());
  self.calls.route(targets[0], {caf::actor_cast<caf::actor>(node)});
  auto late = ask(targets[0], 100ms);
  advance_time(99ms);
  BOOST_TEST(!late.ready());
  advance_time(50ms);
  BOOST_TEST((late.failure().code() == errc::timed_out));
}

BOOST_AUTO_TEST_CASE(an_unknown_bundle_is_an_error) {
  auto got = ask_and_run<bundle_answers>(node, get_rest{42});
  BOOST_TEST((got.failure().code() == errc::aborted));
}

BOOST_AUTO_TEST_CASE(a_bundle_of_nothing_is_answered) {
  auto got = ask_and_run<bundle_answers>(node, bundle{});
  BOOST_TEST(got.value().items.empty());
  BOOST_TEST(got.value().rest == 0u);
}

BOOST_AUTO_TEST_CASE(answers_that_nobody_fetches_do_not_pile_up) {
  route_all({node});
  for (std::size_t i = 0; i < call::bundle_book::unclaimed_max + 100; ++i) {
    auto mine = ask<bundle_answers>(node,
                                    bundle{
                                      {{caf::actor_cast<caf::actor>(targets[0]),
                                        {},
                                        caf::make_message(close_model{}),
                                        1000},
                                       {caf::actor_cast<caf::actor>(targets[1]),
                                        {},
                                        caf::make_message(close_model{}),
                                        1000}}});
    run_jobs();
    answer(0, fail(errc::failed, "no"));
    BOOST_TEST(mine.value().rest != 0u);
    answer(1);
  }
  BOOST_TEST(at(node).book.size() == call::bundle_book::unclaimed_max);
}

BOOST_AUTO_TEST_CASE(every_request_ends_once_whatever_happens) {
  auto seed = test::random_seed();
  std::mt19937_64 random{seed};
  route_all({node, host});
  shuffle_jobs(random);
  std::vector<test::answer<ack>> all;
  for (auto round = 0; round < 100; ++round) {
    for (auto& x : ask_all(targets))
      all.push_back(x);
    if (random() % 2 == 0)
      run_jobs();
    auto at = random() % targets.size();
    if (!of(at).open.empty()) {
      if (random() % 3 == 0)
        answer(at, fail(errc::failed, "no"));
      else
        answer(at);
    }
    if (random() % 10 == 0)
      advance_time(std::chrono::milliseconds{random() % 1500});
    if (round == 70)
      kill(host);
  }
  run_jobs();
  advance_time(5s);
  for (const auto& x : all)
    BOOST_TEST(x.count() == 1u);
  BOOST_TEST(self.calls.pending() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
