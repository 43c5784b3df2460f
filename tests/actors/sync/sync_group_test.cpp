// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/sync/sync_group.hpp"

#include <boost/test/unit_test.hpp>

#include "support/actor_fixture.hpp"
#include "support/stub_model.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using protocol::ack;
using protocol::prepare_sync;
using protocol::run_sync;
using protocol::sync_plan;
using protocol::sync_report;
using protocol::verify_sync;

namespace {

using lines = std::vector<std::string>;

struct fixture : test::actor_fixture {
  test::message_log log = std::make_shared<lines>();
  std::shared_ptr<test::model_script> trainer = script("trainer");
  std::shared_ptr<test::model_script> policy = script("policy");
  protocol::dist_model_actor source = spawn<test::stub_model>(trainer);
  protocol::dist_model_actor destination = spawn<test::stub_model>(policy);
  protocol::sync_group_actor
    group = spawn<sync::sync_group>("t2p", source, destination,
                                    std::vector<planner::rank_pair>{
                                      {rank_id{0}, replica_id{0}, rank_id{0}}});

  std::shared_ptr<test::model_script> script(std::string name) {
    auto out = std::make_shared<test::model_script>();
    out->name = name;
    out->log = log;
    out->manifests.items.push_back(
      {{std::move(name), replica_id{0}, rank_id{0}},
       {node_id{0}, 0, incarnation{1}},
       {{"weight", dtype::float32, {2}, true}}});
    return out;
  }

  test::answer<sync_plan> prepare() {
    return ask_and_run<sync_plan>(group, prepare_sync{trainer->manifests,
                                                      policy->manifests, 1000});
  }

  void prepared() {
    prepare().value();
    log->clear();
  }

  test::answer<sync_report> run(bool validate = false) {
    return ask_and_run<sync_report>(group, run_sync{validate, 1000});
  }

  bool logged(const std::string& line) const {
    return std::find(log->begin(), log->end(), line) != log->end();
  }

  /// The sync has failed in `step` with `code` and says so; policy was not
  /// opened again, and no other sync runs.
  void failed_in(const test::answer<sync_report>& got, errc code,
                 const std::string& step) {
    BOOST_TEST((got.failure().code() == code));
    auto where = fmt::format("sync t2p ({})", step);
    BOOST_TEST_INFO(got.failure().message());
    BOOST_TEST(got.failure().message().find(where) == 0u);
    if (step != "committing")
      BOOST_TEST(!logged("policy: fence off"));
    log->clear();
    auto again = run();
    BOOST_TEST((again.failure().code() == errc::unavailable));
    BOOST_TEST(again.failure().message() == "sync t2p is failed");
    BOOST_TEST(log->empty());
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(sync_sync_group, fixture)

BOOST_AUTO_TEST_CASE(both_ends_of_a_link_are_open_before_either_connects) {
  auto plan = prepare();
  BOOST_TEST(plan.value().bytes == 8u);
  BOOST_TEST(plan.value().links.size() == 1u);
  BOOST_REQUIRE(log->size() == 4u);
  lines opened{log->begin(), log->begin() + 2};
  lines connected{log->begin() + 2, log->end()};
  std::sort(opened.begin(), opened.end());
  std::sort(connected.begin(), connected.end());
  BOOST_TEST(opened == (lines{"policy: open", "trainer: open"}),
             boost::test_tools::per_element());
  BOOST_TEST(connected == (lines{"policy: connect", "trainer: connect"}),
             boost::test_tools::per_element());
  for (const auto& x : {source, destination}) {
    const auto& told = object_of<test::stub_model>(x).connected;
    BOOST_REQUIRE(told.size() == 1u);
    // The addresses of both ends, the sender's first.
    BOOST_REQUIRE(told[0].items[0].addresses.size() == 2u);
    BOOST_TEST(told[0].items[0].addresses[0][0] == 0);
    BOOST_TEST(told[0].items[0].addresses[1][0] == 1);
  }
}

BOOST_AUTO_TEST_CASE(parameters_that_do_not_match_fail_the_preparation) {
  trainer->manifests.items[0].parameters[0].extents = {3};
  auto plan = prepare();
  BOOST_TEST((plan.failure().code() == errc::invalid));
  BOOST_TEST(plan.failure().message().find("sync t2p (preparing)") == 0u);
  BOOST_TEST(log->empty());
}

BOOST_AUTO_TEST_CASE(a_link_that_cannot_be_built_fails_the_preparation) {
  policy->failures["connect"] = {errc::lost, "no route"};
  BOOST_TEST((prepare().failure().code() == errc::lost));
  BOOST_TEST(run().failure().message() == "sync t2p is failed");
}

BOOST_AUTO_TEST_CASE(a_sync_that_was_not_prepared_is_refused) {
  BOOST_TEST((run().failure().code() == errc::unavailable));
  auto verified = ask_and_run<sync_report>(group, verify_sync{1000});
  BOOST_TEST((verified.failure().code() == errc::unavailable));
  BOOST_TEST(log->empty());
}

// WS-1, WS-2, WS-4: closed before, opened after, at the next version.
BOOST_AUTO_TEST_CASE(ws_1_2_4_fence_transfer_verify_then_the_next_version) {
  prepared();
  auto got = run();
  BOOST_TEST(got.value().version.value() == 1u);
  BOOST_TEST(got.value().bytes == 8u);
  BOOST_TEST(got.value().differences.empty());
  BOOST_REQUIRE(log->size() == 6u);
  std::sort(log->begin() + 2, log->begin() + 4);
  BOOST_TEST(*log
               == (lines{"policy: version 0", "policy: fence on",
                         "policy: receive", "trainer: send",
                         "policy: version 1", "policy: fence off"}),
             boost::test_tools::per_element());
  BOOST_TEST(run().value().version.value() == 2u);
}

BOOST_AUTO_TEST_CASE(ws_1_nothing_moves_before_the_fence_is_confirmed) {
  prepared();
  policy->held.insert("fence on");
  auto got = run();
  BOOST_TEST(!logged("trainer: send"));
  BOOST_TEST(!logged("policy: receive"));
  policy->release();
  run_jobs();
  BOOST_TEST(logged("trainer: send"));
  BOOST_TEST(got.value().version.value() == 1u);
}

BOOST_AUTO_TEST_CASE(ws_2_nobody_serves_before_both_ends_have_reported) {
  prepared();
  trainer->held.insert("send");
  auto got = run();
  BOOST_TEST(logged("policy: receive"));
  BOOST_TEST(!logged("policy: fence off"));
  trainer->release();
  run_jobs();
  BOOST_TEST(logged("policy: fence off"));
  BOOST_TEST(got.ready());
}

BOOST_AUTO_TEST_CASE(validation_compares_before_it_opens_the_fence) {
  prepared();
  auto got = run(true);
  BOOST_TEST(got.value().version.value() == 1u);
  BOOST_TEST(std::count(log->begin(), log->end(), "policy: compare") == 1);
  BOOST_TEST(std::count(log->begin(), log->end(), "trainer: compare") == 1);
  BOOST_TEST(log->back() == "policy: fence off");
}

BOOST_AUTO_TEST_CASE(a_validation_that_finds_a_difference_fails_the_sync) {
  prepared();
  policy->on_report = [](protocol::transfer_report& x) {
    x.difference = "tensor 'weight' differs at element 1";
  };
  auto got = run(true);
  BOOST_TEST(got.failure().message().find("element 1") != std::string::npos);
  failed_in(got, errc::corrupt, "verifying");
}

BOOST_AUTO_TEST_CASE(a_fence_that_fails_fails_the_sync) {
  prepared();
  policy->failures["fence on"] = {errc::lost, "gone"};
  failed_in(run(), errc::lost, "fencing");
}

BOOST_AUTO_TEST_CASE(a_source_that_cannot_send_fails_the_sync) {
  prepared();
  trainer->failures["send"] = {errc::aborted, "stopped"};
  failed_in(run(), errc::aborted, "transferring");
}

BOOST_AUTO_TEST_CASE(a_destination_that_cannot_receive_fails_the_sync) {
  prepared();
  policy->failures["receive"] = {errc::timed_out, "nothing came"};
  failed_in(run(), errc::timed_out, "transferring");
}

BOOST_AUTO_TEST_CASE(ws_4_a_digest_that_differs_fails_the_sync) {
  prepared();
  policy->on_report = [](protocol::transfer_report& x) { x.digest_low = 9; };
  failed_in(run(), errc::corrupt, "verifying");
}

BOOST_AUTO_TEST_CASE(a_commit_that_fails_fails_the_sync) {
  prepared();
  policy->failures["fence off"] = {errc::failed, "on_sync threw"};
  failed_in(run(), errc::failed, "committing");
}

BOOST_AUTO_TEST_CASE(a_model_that_goes_down_fails_the_sync_at_once) {
  prepared();
  trainer->silent.insert("send");
  auto got = run();
  BOOST_TEST(!got.ready());
  kill(source);
  failed_in(got, errc::lost, "transferring");
}

BOOST_AUTO_TEST_CASE(a_model_that_does_not_answer_fails_the_sync_in_time) {
  prepared();
  policy->silent.insert("receive");
  auto got = run();
  advance_time(1000ms);
  BOOST_TEST(!got.ready());
  advance_time(2000ms);
  failed_in(got, errc::timed_out, "transferring");
}

BOOST_AUTO_TEST_CASE(a_second_run_while_one_is_going_on_is_refused) {
  prepared();
  policy->held.insert("receive");
  auto first = run();
  auto second = run();
  BOOST_TEST((second.failure().code() == errc::unavailable));
  BOOST_TEST(second.failure().message() == "sync t2p is transferring");
  auto verified = ask_and_run<sync_report>(group, verify_sync{1000});
  BOOST_TEST((verified.failure().code() == errc::unavailable));
  policy->release();
  run_jobs();
  BOOST_TEST(first.value().version.value() == 1u);
}

BOOST_AUTO_TEST_CASE(a_preparation_while_a_sync_is_going_on_is_refused) {
  prepared();
  policy->held.insert("receive");
  auto first = run();
  log->clear();
  BOOST_TEST((prepare().failure().code() == errc::unavailable));
  BOOST_TEST(log->empty());
  policy->release();
  run_jobs();
  BOOST_TEST(first.value().version.value() == 1u);
}

BOOST_AUTO_TEST_CASE(verifying_moves_nothing_and_reports_differences) {
  prepared();
  auto same = ask_and_run<sync_report>(group, verify_sync{1000});
  BOOST_TEST(same.value().differences.empty());
  policy->on_report = [](protocol::transfer_report& x) {
    x.difference = "tensor 'weight' differs at element 1";
  };
  auto other = ask_and_run<sync_report>(group, verify_sync{1000});
  BOOST_REQUIRE(other.value().differences.size() == 1u);
  BOOST_TEST(other.value().differences[0].find("policy/0/0") == 0u);
  BOOST_TEST(!logged("policy: fence on"));
  BOOST_TEST(!logged("policy: receive"));
  policy->on_report = nullptr;
  BOOST_TEST(run().value().version.value() == 1u);
}

BOOST_AUTO_TEST_CASE(closing_leaves_the_links_and_ends_the_group) {
  prepared();
  auto closed = ask_and_run<ack>(group, protocol::close_sync{1000});
  closed.value();
  std::sort(log->begin(), log->end());
  BOOST_TEST(*log == (lines{"policy: leave", "trainer: leave"}),
             boost::test_tools::per_element());
  BOOST_TEST(!run().get());
}

BOOST_AUTO_TEST_CASE(closing_a_group_that_was_never_prepared_works) {
  ask_and_run<ack>(group, protocol::close_sync{1000}).value();
  BOOST_TEST(log->empty());
}

BOOST_AUTO_TEST_SUITE_END()
