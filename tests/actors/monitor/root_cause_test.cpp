// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/monitor/root_cause.hpp"

#include <boost/test/unit_test.hpp>

#include <random>

#include "support/actor_fixture.hpp"

using namespace troupe;
using monitor::conclude;
using monitor::distance_from_cause;
using protocol::error_report;
using protocol::severity;

namespace {

error_report report(std::uint64_t id, errc code, std::string operation,
                    severity level = severity::error) {
  error_report x;
  x.id = id;
  x.code = code;
  x.operation = std::move(operation);
  x.level = level;
  return x;
}

/// One of each kind, nearest to a cause first.
const std::vector<error_report> ranking{
  report(1, errc::lost, "process"),
  report(2, errc::failed, "generate"),
  report(3, errc::unavailable, "generate"),
  report(4, errc::timed_out, "generate"),
  report(5, errc::lost, "generate"),
  report(6, errc::aborted, "generate"),
  report(7, errc::aborted, "engine"),
};

} // namespace

BOOST_AUTO_TEST_SUITE(monitor_root_cause)

BOOST_AUTO_TEST_CASE(a_report_nearer_to_the_cause_wins_whatever_came_first) {
  for (std::size_t near = 0; near < ranking.size(); ++near)
    for (std::size_t far = near + 1; far < ranking.size(); ++far) {
      BOOST_TEST(distance_from_cause(ranking[near])
                 < distance_from_cause(ranking[far]));
      for (auto& order : {std::vector{ranking[near], ranking[far]},
                          std::vector{ranking[far], ranking[near]}})
        BOOST_TEST(conclude(order).root.id == ranking[near].id);
    }
}

BOOST_AUTO_TEST_CASE(what_a_module_or_the_system_refused_is_a_cause) {
  for (auto code : {errc::invalid, errc::exhausted, errc::corrupt,
                    errc::refused, errc::failed, errc::internal})
    BOOST_TEST(distance_from_cause(report(1, code, "train"))
               < distance_from_cause(report(2, errc::unavailable, "train")));
}

// It passes on what others say, but sometimes it is the only one who knows.
BOOST_AUTO_TEST_CASE(the_engine_speaks_right_after_others_with_its_code) {
  for (auto code : {errc::invalid, errc::failed, errc::timed_out, errc::lost}) {
    auto got = conclude({report(1, code, "engine"), report(2, code, "train")});
    BOOST_TEST(got.root.id == 2u);
  }
  auto got = conclude({report(1, errc::aborted, "open groups"),
                       report(2, errc::invalid, "engine"),
                       report(3, errc::lost, "connect groups")});
  BOOST_TEST(got.root.id == 2u);
}

BOOST_AUTO_TEST_CASE(a_cause_is_awaited_while_only_others_have_spoken) {
  using monitor::lacks_cause;
  BOOST_TEST(lacks_cause({report(1, errc::failed, "engine")}));
  BOOST_TEST(
    lacks_cause({report(1, errc::lost, "a"), report(2, errc::aborted, "b")}));
  BOOST_TEST(
    !lacks_cause({report(1, errc::lost, "a"), report(2, errc::failed, "b")}));
  BOOST_TEST(!lacks_cause({report(1, errc::lost, "process")}));
}

// Rank 0 has waited in vain for rank 1, whose call ends a moment later.
BOOST_AUTO_TEST_CASE(who_gave_up_for_want_of_another_is_not_the_cause) {
  auto waited = report(1, errc::aborted, "train");
  waited.rank = rank_id{0};
  waited.message = "all-reduce: waited in vain for rank 1";
  BOOST_TEST(monitor::lacks_cause({waited}));
  for (auto code : {errc::timed_out, errc::failed, errc::lost}) {
    auto hung = report(2, code, "train");
    hung.rank = rank_id{1};
    auto got = conclude({waited, hung, report(3, errc::aborted, "engine")});
    BOOST_TEST(got.root.rank.value() == 1);
    BOOST_TEST(got.consequences.size() == 2u);
  }
  // Unless nobody else says anything: it names whom it waited for.
  auto alone = conclude({waited, report(2, errc::aborted, "engine")});
  BOOST_TEST(alone.root.message == waited.message);
}

BOOST_AUTO_TEST_CASE(a_dead_process_is_the_cause_whatever_its_code) {
  for (auto code : {errc::lost, errc::aborted, errc::timed_out})
    BOOST_TEST(distance_from_cause(report(1, code, "process")) == 0);
}

BOOST_AUTO_TEST_CASE(of_two_equally_near_the_earlier_one_is_the_cause) {
  auto got = conclude({report(4, errc::failed, "a"),
                       report(5, errc::invalid, "b"),
                       report(6, errc::failed, "c")});
  BOOST_TEST(got.root.id == 4u);
  BOOST_TEST(got.consequences.size() == 2u);
}

BOOST_AUTO_TEST_CASE(consequences_are_marked_with_the_root_and_keep_order) {
  auto seed = test::random_seed();
  BOOST_TEST_INFO_SCOPE("TROUPE_SEED=" << seed);
  std::mt19937_64 random{seed};
  for (auto round = 0; round < 50; ++round) {
    auto reports = ranking;
    std::shuffle(reports.begin(), reports.end(), random);
    for (std::size_t i = 0; i < reports.size(); ++i) {
      reports[i].id = i + 1;
      reports[i].cause = 99;
    }
    auto got = conclude(reports);
    BOOST_TEST(got.root.operation == "process");
    BOOST_TEST(got.root.cause == 0u);
    BOOST_TEST(got.consequences.size() == reports.size() - 1);
    auto last = std::uint64_t{0};
    for (const auto& x : got.consequences) {
      BOOST_TEST(x.cause == got.root.id);
      BOOST_TEST(x.id > last);
      last = x.id;
    }
  }
}

BOOST_AUTO_TEST_CASE(warnings_are_neither_cause_nor_consequence) {
  auto got = conclude({report(1, errc::failed, "a", severity::warning),
                       report(2, errc::lost, "b"),
                       report(3, errc::failed, "process", severity::warning)});
  BOOST_TEST(got.root.id == 2u);
  BOOST_TEST(got.consequences.empty());
}

BOOST_AUTO_TEST_CASE(nothing_but_warnings_has_no_cause) {
  auto got = conclude({report(1, errc::failed, "a", severity::warning)});
  BOOST_TEST(got.root.id == 0u);
  BOOST_TEST(conclude({}).consequences.empty());
}

BOOST_AUTO_TEST_CASE(a_report_says_who_did_what) {
  auto x = report(1, errc::failed, "generate");
  x.message = "out of tea";
  BOOST_TEST(to_string(x) == "generate: out of tea");
  x.model = "policy";
  x.replica = replica_id{0};
  x.rank = rank_id{1};
  BOOST_TEST(to_string(x) == "policy replica 0 rank 1, generate: out of tea");
  BOOST_TEST(to_string(error_report{}).empty());
}

BOOST_AUTO_TEST_SUITE_END()
