// SPDX-License-Identifier: Apache-2.0
// What the engine reports of a run that goes on, or must not.
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <limits>

#include "actors/engine/engine_fixture.hpp"
#include "support/error_recorder.hpp"

using namespace troupe;
using namespace troupe::engine_test;
using namespace std::chrono_literals;

namespace {

struct fixture : engine_fixture {
  std::shared_ptr<test::error_notes>
    told = std::make_shared<test::error_notes>();

  fixture() {
    auto listener = spawn<test::error_recorder>(told);
    ask_and_run<protocol::ack>(errors, protocol::subscribe_errors{listener})
      .value();
  }

  /// The training step returns this loss in this episode, 1 in others.
  void loss_in(std::int64_t episode, double value) {
    auto calls = std::make_shared<std::int64_t>(0);
    trainer->on_invoke = [=, this](const protocol::invoke& x) {
      batch out;
      out.set_meta("loss", ++*calls == episode ? value : 1.0);
      protocol::invoked y;
      y.output.parts.push_back(store.put(out, x.scope).value());
      return y;
    };
  }

  /// The two replicas of the policy take so long.
  void policy_takes(std::chrono::microseconds first,
                    std::chrono::microseconds second) {
    policy->on_invoke = [=](const protocol::invoke& x) {
      protocol::invoked y;
      y.output = x.input;
      for (auto [replica, time] : {std::pair{0, first}, std::pair{1, second}})
        y.times.push_back({{"policy", replica_id{replica}, rank_id{0}},
                           0,
                           static_cast<std::uint64_t>(time.count()),
                           0});
      return y;
    };
  }
};

constexpr auto not_a_number = std::numeric_limits<double>::quiet_NaN();

} // namespace

BOOST_FIXTURE_TEST_SUITE(engine_signals, fixture)

BOOST_AUTO_TEST_CASE(a_loss_that_is_nan_ends_the_run_and_is_the_cause) {
  parts.config.runtime.num_episode = 5;
  loss_in(3, not_a_number);
  start();
  await_verdict();
  const auto& got = outcome();
  BOOST_TEST((got.end == run_end::failed));
  BOOST_TEST(got.episodes == 2);
  const auto& root = got.verdict.root;
  BOOST_TEST((root.code == errc::failed));
  BOOST_TEST(root.model == "trainer");
  BOOST_TEST(root.operation == "train");
  BOOST_TEST(root.message == "loss is nan in episode 3");
  BOOST_TEST(got.verdict.consequences.empty());
}

BOOST_AUTO_TEST_CASE(so_does_an_infinite_one) {
  loss_in(1, std::numeric_limits<double>::infinity());
  start();
  await_verdict();
  BOOST_TEST(outcome().verdict.root.message == "loss is infinite in episode 1");
}

BOOST_AUTO_TEST_CASE(with_warn_the_run_goes_on_and_keeps_the_figure) {
  parts.config.runtime.num_episode = 4;
  parts.config.runtime.warn_on_non_finite = true;
  loss_in(2, not_a_number);
  const auto& got = run();
  BOOST_TEST((got.end == run_end::finished));
  BOOST_REQUIRE(told->reports.size() == 1u);
  BOOST_TEST((told->reports[0].level == protocol::severity::warning));
  BOOST_TEST(told->reports[0].message == "loss is nan in episode 2");
  BOOST_REQUIRE(view.episodes.size() == 4u);
  BOOST_TEST(std::isnan(view.episodes[1].metrics.at("loss")));
}

BOOST_AUTO_TEST_CASE(a_straggler_is_a_warning_and_ends_nothing) {
  policy_takes(900ms, 5s);
  const auto& got = run();
  BOOST_TEST((got.end == run_end::finished));
  BOOST_REQUIRE(told->reports.size() == 1u);
  const auto& x = told->reports[0];
  BOOST_TEST((x.level == protocol::severity::warning));
  BOOST_TEST((x.code == errc::timed_out));
  BOOST_TEST(to_string(x)
             == "policy replica 1 rank 0, generate: slow: 5.0 s, the median of "
                "its peers is 900.0 ms");
}

BOOST_AUTO_TEST_CASE(stragglers_can_be_ignored) {
  parts.config.runtime.straggler_factor = 0;
  policy_takes(900ms, 5s);
  run();
  BOOST_TEST(told->reports.empty());
}

BOOST_AUTO_TEST_SUITE_END()
