// SPDX-License-Identifier: Apache-2.0
// What a sync_group does when a step fails, hangs or somebody dies.
#include "troupe/actors/sync/sync_group.hpp"

#include <tuple>

#include "actors/sync/sync_group_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace std::chrono_literals;
using namespace std::string_literals;

BOOST_FIXTURE_TEST_SUITE(sync_sync_group_failures, sync_group_fixture)

// -- failures ------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(
  every_step_that_fails_is_named_and_healed_by_the_next_run) {
  for (const auto* mode : {"staged", "in_place"}) {
    auto moving = std::string{mode} == "staged" ? "staged" : "in place";
    for (auto [who, operation, step] :
         {std::tuple{"trainer", "pin", "pinning"},
          std::tuple{"policy", "enroll 1/0", "pinning"},
          std::tuple{"policy", "fence 0/0", "fencing"},
          std::tuple{"trainer", moving, "transferring"},
          std::tuple{"policy", moving, "transferring"}}) {
      BOOST_TEST_INFO_SCOPE(mode << ", " << who << " " << operation);
      prepared(mode);
      auto& script = *(std::string{who} == "policy" ? policy : trainer);
      script.failures[operation] = {errc::failed, "it broke"};
      failed_in(run(), errc::failed, step);
      auto torn = std::string{mode} == "in_place"
                  && std::string{step} == "transferring";
      BOOST_TEST(logged("trainer: unpin"));
      BOOST_TEST((state() == sync::sync_state::failed) == torn);
      // Torn weights are not opened again.
      if (torn)
        BOOST_TEST(!logged("policy: reopen"));
      heals();
    }
  }
}

BOOST_AUTO_TEST_CASE(ws_4_a_digest_that_differs_fails_the_sync) {
  prepared();
  policy->on_report = [](protocol::transfer_report& x) { x.digest_words = 9; };
  failed_in(run(), errc::corrupt, "verifying");
  BOOST_TEST((state() == sync::sync_state::idle));
  heals();
}

BOOST_AUTO_TEST_CASE(parameters_that_changed_fail_before_anything_moves) {
  prepared("in_place");
  trainer->failures["pin"] =
    {errc::invalid, "parameter 'weight' was float32[2] when the sync was "
                    "planned and is float32[3] now"};
  auto got = run();
  failed_in(got, errc::invalid, "pinning");
  BOOST_TEST(got.failure().message().find("'weight'") != std::string::npos);
  BOOST_TEST(!logged("policy: fence"));
}

BOOST_AUTO_TEST_CASE(ws_2_a_rank_that_cannot_swap_leaves_its_replica_closed) {
  prepared("staged");
  policy->failures["swap 1/0"] = {errc::lost, "gone"};
  auto got = run();
  failed_in(got, errc::lost, "swapping");
  // The other one is whole.
  BOOST_TEST(count("policy: commit") == 1u);
  heals();
}

BOOST_AUTO_TEST_CASE(a_commit_that_fails_fails_the_sync) {
  prepared();
  policy->failures["commit 0/0"] = {errc::failed, "on_sync threw"};
  failed_in(run(), errc::failed, "committing");
  heals();
}

BOOST_AUTO_TEST_CASE(a_model_that_goes_down_fails_the_sync_at_once) {
  prepared();
  trainer->silent.insert("staged");
  auto got = run();
  BOOST_TEST(!got.ready());
  kill(source);
  failed_in(got, errc::lost, "transferring");
}

BOOST_AUTO_TEST_CASE(a_group_that_is_ended_tells_who_waits_for_its_run) {
  prepared();
  trainer->silent.insert("staged");
  auto got = run();
  BOOST_TEST(!got.ready());
  kill(group);
  BOOST_TEST((got.failure() == error{errc::aborted, "sync t2p was ended"}));
}

BOOST_AUTO_TEST_CASE(ws_3_every_step_ends_in_time) {
  for (const auto* mode : {"staged", "in_place"}) {
    auto moving = std::string{mode} == "staged" ? "staged" : "in place";
    for (auto [who, operation, step] :
         {std::tuple{"trainer", "pin", "pinning"},
          std::tuple{"policy", "enroll", "pinning"},
          std::tuple{"policy", "fence", "fencing"},
          std::tuple{"trainer", moving, "transferring"},
          std::tuple{"policy", moving, "transferring"},
          std::tuple{"policy", "commit", "committing"}}) {
      BOOST_TEST_INFO_SCOPE(mode << ", " << who << " " << operation);
      prepared(mode);
      auto& script = *(std::string{who} == "policy" ? policy : trainer);
      script.silent.insert(operation);
      auto got = run();
      advance_time(900ms);
      BOOST_TEST(!got.ready());
      advance_time(2000ms);
      // What nobody answers is not waited for a second time.
      BOOST_TEST((got.failure().code() == errc::timed_out));
      BOOST_TEST(got.failure().message().find(step) != std::string::npos);
      heals();
    }
  }
}

// -- without the dead ----------------------------------------------------------

BOOST_AUTO_TEST_CASE(ws_5_a_run_goes_on_without_a_replica_that_died) {
  for (const auto* mode : {"staged", "in_place"}) {
    BOOST_TEST_INFO_SCOPE(mode);
    options.when_lost = "drop";
    prepared(mode);
    auto moving = std::string{mode} == "staged" ? "staged" : "in place";
    const error gone{errc::lost, "its process is gone"};
    for (const auto& operation :
         {moving + " 1/0"s, "enroll 1/0"s, "reopen 1/0"s, "install 1/0"s})
      policy->failures[operation] = gone;
    // What its peer saw of it.
    trainer->peers = [&](const auto&) {
      return count("policy: install") == 0 ? std::vector{rank_id{0}, rank_id{1}}
                                           : std::vector{rank_id{0}};
    };
    // It dies in the run, not before.
    policy->failures.erase("enroll 1/0");
    policy->on_report = [&](protocol::transfer_report&) {
      policy->failures["enroll 1/0"] = gone;
    };
    auto got = run();
    BOOST_REQUIRE(got.value().dropped.size() == 1u);
    BOOST_TEST(to_string(got.value().dropped[0]) == "policy/1/0");
    BOOST_TEST(got.value().version.value() == 1u);
    BOOST_TEST(got.value().bytes == 8u);
    BOOST_TEST(count("policy: commit") == 1u);
    // The next one does not try again.
    log->clear();
    trainer->peers = [](const auto&) { return std::vector{rank_id{0}}; };
    BOOST_TEST(run().value().bytes == 8u);
    policy->failures.clear();
    policy->on_report = nullptr;
    trainer->peers = [](const auto&) {
      return std::vector{rank_id{0}, rank_id{1}};
    };
    group = spawn<sync::sync_group>("t2p", source, destination);
  }
}

// A frozen replica wakes up at the old version.
BOOST_AUTO_TEST_CASE(ws_2_nobody_goes_on_without_one_that_may_wake_up) {
  options.when_lost = "drop";
  prepared("staged");
  policy->failures["staged 1/0"] = {errc::timed_out, "late"};
  policy->on_report = [&](protocol::transfer_report&) {
    policy->failures["enroll 1/0"] = {errc::timed_out, "late"};
  };
  failed_in(run(), errc::timed_out, "transferring");
  heals();
}

BOOST_AUTO_TEST_CASE(what_only_the_dead_held_cannot_be_gone_without) {
  options.when_lost = "drop";
  prepared("staged");
  trainer->failures["staged"] = {errc::lost, "gone"};
  trainer->on_report = [&](protocol::transfer_report&) {
    trainer->failures["pin"] = trainer->failures["enroll"] = {errc::lost,
                                                              "gone"};
  };
  // Each run tries again, in vain.
  for (auto i = 0; i < 2; ++i)
    BOOST_TEST((run().failure().code() == errc::lost));
}

BOOST_AUTO_TEST_CASE(a_destination_that_is_all_dead_is_not_gone_without) {
  options.when_lost = "drop";
  prepared("staged");
  policy->failures["staged"] = {errc::lost, "gone"};
  policy->on_report = [&](protocol::transfer_report&) {
    policy->failures["enroll"] = policy->failures["reopen"] = {errc::lost,
                                                               "gone"};
  };
  for (auto i = 0; i < 2; ++i) {
    auto got = run();
    BOOST_TEST((got.failure().code() == errc::lost));
    BOOST_TEST(got.failure().message().find("nobody is left")
               != std::string::npos);
  }
  // They were only thought dead.
  heals();
}

BOOST_AUTO_TEST_CASE(planning_without_the_dead_is_tried_again) {
  options.when_lost = "drop";
  prepared("staged");
  policy->failures["staged 1/0"] = {errc::lost, "gone"};
  policy->on_report = [&](protocol::transfer_report&) {
    policy->failures["enroll 1/0"] = {errc::lost, "gone"};
  };
  trainer->failures["open"] = {errc::timed_out, "late"};
  BOOST_TEST((run().failure().code() == errc::timed_out));
  trainer->failures.clear();
  trainer->peers = [](const auto&) { return std::vector{rank_id{0}}; };
  auto got = run();
  BOOST_TEST(got.value().dropped.size() == 1u);
  BOOST_TEST(count("policy: commit") == 1u);
}

// -- hang reports --------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_hang_is_told_with_ranks_bucket_tensors_and_ages) {
  prepared("staged");
  policy->silent.insert("staged 1/0");
  trainer->operations.items = {
    {{"trainer", replica_id{0}, rank_id{0}},
     "sync t2p: send to rank 1 over shm: waiting at bucket 2 of 3 for 0.9 s "
     "('weight')",
     0}};
  policy->operations.items = {{{"policy", replica_id{1}, rank_id{0}},
                               "its process does not answer",
                               500,
                               true}};
  auto got = run();
  advance_time(950ms);
  BOOST_TEST(logged("trainer: look"));
  BOOST_TEST(logged("policy: look"));
  advance_time(2000ms);
  const auto& text = got.failure().message();
  BOOST_TEST_INFO_SCOPE(text);
  for (const auto* words :
       {"sync t2p (transferring)", "did not arrive in 1.0 s: policy/1/0",
        "arrived: trainer/0/0, policy/0/0", "bucket 2 of 3", "'weight'",
        "policy/1/0: its process does not answer since it answered 'enroll', "
        "for "})
    BOOST_TEST(text.find(words) != std::string::npos);
}

BOOST_AUTO_TEST_CASE(nobody_is_asked_what_he_does_while_all_is_well) {
  prepared();
  for (auto i = 0; i < 5; ++i) {
    run().value();
    advance_time(400ms);
  }
  advance_time(5000ms);
  BOOST_TEST(!logged("trainer: look"));
}

BOOST_AUTO_TEST_SUITE_END()
