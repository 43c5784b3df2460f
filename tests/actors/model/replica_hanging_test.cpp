// SPDX-License-Identifier: Apache-2.0
// Who hangs says nothing: those who waited for it tell of it. The test plays the
// ranks.
#include "actors/model/replica_fixture.hpp"
#include "troupe/actors/model/late_answer.hpp"
#include "troupe/actors/monitor/root_cause.hpp"

using namespace troupe;
using namespace troupe::protocol;
using namespace std::chrono_literals;

namespace {

/// A little more than a replica waits for those who give up later.
constexpr auto moment = 401ms;

error in_vain() {
  return given_up(
    {errc::timed_out, "barrier: waited in vain for the other ranks"});
}

using fixture = test::replica_fixture;

} // namespace

BOOST_FIXTURE_TEST_SUITE(model_replica_hanging, fixture)

BOOST_AUTO_TEST_CASE(the_one_that_hangs_is_named_whatever_it_is_in) {
  for (const auto* operation : {"set up", "connect groups", "load checkpoint",
                                "save checkpoint", "on_sync", "train_step"}) {
    BOOST_TEST_INFO_SCOPE(operation);
    fixture run;
    run.begin(operation);
    run.advance_time(30s);
    run.let_out(0, in_vain());
    run.let_out(2, in_vain());
    // Not before those could have spoken who give up a little later.
    BOOST_TEST(run.reported().size() == 2u);
    run.advance_time(moment);
    auto known = run.reported();
    BOOST_REQUIRE(known.size() == 3u);
    const auto& last = known.back();
    BOOST_TEST((last.code == errc::timed_out));
    BOOST_TEST(last.model == "trainer");
    BOOST_TEST(last.rank.value() == 1);
    // Its process is the one to end.
    BOOST_TEST(last.slot == 1);
    BOOST_TEST(last.operation == operation);
    BOOST_TEST(last.message
               == model::still_at_it(operation, 30s + moment).message());
    BOOST_TEST((monitor::conclude(known).root.rank == rank_id{1}));
    // Once, however many have waited.
    run.advance_time(5s);
    BOOST_TEST(run.reported().size() == 3u);
  }
}

BOOST_AUTO_TEST_CASE(ranks_that_were_woken_have_not_hung) {
  begin("load checkpoint");
  let_out(0, in_vain());
  // The first report has all groups aborted.
  let_out(2, error{errc::aborted, "barrier: the communicator was aborted"});
  advance_time(moment);
  auto known = reported();
  BOOST_REQUIRE(known.size() == 3u);
  BOOST_TEST(known.back().rank.value() == 1);
}

BOOST_AUTO_TEST_CASE(of_several_that_are_still_at_it_none_is_named) {
  begin("set up");
  let_out(0, in_vain());
  advance_time(5s);
  BOOST_TEST(reported().size() == 1u);
}

BOOST_AUTO_TEST_CASE(one_that_answers_a_moment_later_has_not_hung) {
  for (const auto& why : {std::optional<error>{}, std::optional{in_vain()}}) {
    fixture run;
    run.begin("set up");
    run.let_out(0, in_vain());
    run.let_out(2, in_vain());
    run.advance_time(300ms);
    run.let_out(1, why);
    run.advance_time(5s);
    for (const auto& x : run.reported())
      BOOST_TEST((x.code == errc::aborted));
  }
}

BOOST_AUTO_TEST_CASE(whoever_knows_better_is_believed) {
  begin("on_sync");
  let_out(0, in_vain());
  let_out(2, error{errc::failed, "no cache"});
  advance_time(5s);
  auto known = reported();
  BOOST_REQUIRE(known.size() == 2u);
  BOOST_TEST(monitor::conclude(known).root.message == "no cache");
}

// Links of a sync: a rank that is still at it may be in want of one that is not
// ours.
BOOST_AUTO_TEST_CASE(who_waits_for_another_model_is_not_named) {
  ask_and_run<manifests>(trainer, set_up{timeout_ms}).value();
  ranks->held = "connect groups";
  connect_groups request;
  request.timeout_ms = timeout_ms;
  for (auto rank = 0; rank < num_rank; ++rank)
    request.items.push_back({name_of(rank), "t2p", {}});
  static_cast<void>(ask_and_run<ack>(trainer, request));
  let_out(0, in_vain());
  let_out(2, in_vain());
  advance_time(5s);
  BOOST_TEST(reported().size() == 2u);
}

// Nobody waits for it: its own time has to pass.
BOOST_AUTO_TEST_CASE(one_whom_nobody_missed_is_named_when_its_time_is_over) {
  begin("set up");
  let_out(0);
  let_out(2);
  advance_time(61s);
  auto known = reported();
  BOOST_REQUIRE(known.size() == 1u);
  BOOST_TEST(known[0].rank.value() == 1);
  BOOST_TEST(known[0].message.starts_with("not done in the 1 min 00 s it had"));
}

BOOST_AUTO_TEST_SUITE_END()
