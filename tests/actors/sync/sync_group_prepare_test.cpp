// SPDX-License-Identifier: Apache-2.0
// What a preparation finds: no room to stage, weights that go nowhere.
#include "troupe/actors/sync/sync_group.hpp"

#include <fmt/core.h>

#include "actors/sync/sync_group_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace std::chrono_literals;

namespace {

struct fixture : sync_group_fixture {
  /// Prepares; the first warm-up of one rank ends with `why`, and meanwhile its
  /// peer has lost the link.
  answer<sync_plan> prepare_and_fail(const error& why) {
    options.warm_up = true;
    policy->held.insert("warm up 1/0");
    trainer->failures["warm up"] = {errc::lost, "the link is gone"};
    auto out = prepare();
    BOOST_TEST(!out.ready());
    policy->failures["warm up 1/0"] = why;
    policy->release();
    policy->failures.clear();
    policy->held.clear();
    trainer->failures.clear();
    run_jobs();
    return out;
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(sync_sync_group_prepare, fixture)

// -- memory --------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(auto_goes_in_place_if_staging_finds_no_memory) {
  auto plan = prepare_and_fail({errc::exhausted, "no 4 GiB of memory"});
  BOOST_TEST(plan.value().mode == "in place");
  // Nothing is left of the first attempt: the links and what holds on to them.
  for (const auto* side : {"policy", "trainer"}) {
    BOOST_TEST(count(fmt::format("{}: leave", side)) == 1u);
    BOOST_TEST(count(fmt::format("{}: connect", side)) == 2u);
  }
  BOOST_TEST(count("policy: install") == 4u);
  BOOST_TEST(count("policy: warm up") == 4u);
  log->clear();
  BOOST_TEST(run().value().version.value() == 1u);
  BOOST_TEST(logged("policy: in place"));
  BOOST_TEST(!logged("policy: staged"));
  BOOST_TEST(!logged("policy: connect"));
  // Planned anew, it may fit.
  BOOST_TEST(prepare().value().mode == "staged");
}

BOOST_AUTO_TEST_CASE(memory_that_lacks_in_place_too_fails_the_preparation) {
  options.warm_up = true;
  policy->failures["warm up 1/0"] = {errc::exhausted, "no pinned memory"};
  auto plan = prepare();
  BOOST_TEST((plan.failure().code() == errc::exhausted));
  BOOST_TEST(count("policy: warm up") == 4u);
  // It has been tried.
  BOOST_TEST(plan.failure().message().find("sync_mode") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(who_insists_on_staging_is_told_which_key_helps) {
  options.mode = "staged";
  auto plan = prepare_and_fail({errc::exhausted, "no 4 GiB of memory"});
  BOOST_TEST((plan.failure().code() == errc::exhausted));
  for (const auto* word :
       {"no 4 GiB of memory", "sync_mode", "sync_staging_bytes_max"})
    BOOST_TEST(plan.failure().message().find(word) != std::string::npos, word);
  BOOST_TEST(!logged("policy: leave"));
}

BOOST_AUTO_TEST_CASE(other_errors_of_a_warm_up_are_not_tried_in_place) {
  auto plan = prepare_and_fail({errc::failed, "the device is gone"});
  BOOST_TEST((plan.failure().code() == errc::failed));
  BOOST_TEST(plan.failure().message().find("sync_mode") == std::string::npos);
  BOOST_TEST(count("policy: warm up") == 2u);
}

BOOST_AUTO_TEST_CASE(a_warm_up_that_failed_waits_for_nobody_who_hangs) {
  options.warm_up = true;
  policy->held.insert("warm up 1/0");
  trainer->failures["warm up"] = {errc::failed, "the device is gone"};
  auto got = prepare();
  advance_time(499ms);
  BOOST_TEST(!got.ready());
  advance_time(1ms);
  BOOST_TEST((got.failure().code() == errc::failed));
  policy->release();
}

BOOST_AUTO_TEST_CASE(memory_that_lacks_in_a_staged_run_names_the_key) {
  prepared("staged");
  policy->failures["staged 1/0"] = {errc::exhausted, "no 4 GiB of memory"};
  auto got = run();
  failed_in(got, errc::exhausted, "transferring");
  BOOST_TEST(got.failure().message().find("sync_mode") != std::string::npos);
  heals();
}

// As with models that offload: the run is the first that stages.
BOOST_AUTO_TEST_CASE(a_run_that_finds_no_memory_to_stage_goes_in_place) {
  options.free_groups = true;
  prepared("auto");
  policy->failures["staged 1/0"] = {errc::exhausted, "no 4 GiB of memory"};
  // Its peer says so too, and sooner.
  trainer->failures["staged"] = {errc::lost, "the link is gone"};
  BOOST_TEST(run().value().version.value() == 1u);
  BOOST_TEST(!logged("policy: own up"));
  BOOST_TEST(logged("policy: staged"));
  BOOST_TEST(logged("policy: in place"));
  BOOST_TEST(count("policy: commit") == 2u);
  // Of the first attempt, and after the second.
  for (const auto* side : {"policy", "trainer"}) {
    BOOST_TEST(count(fmt::format("{}: connect", side)) == 2u);
    BOOST_TEST(count(fmt::format("{}: leave", side)) == 2u);
  }
  log->clear();
  policy->version = weight_version{1};
  BOOST_TEST(run().value().version.value() == 2u);
  BOOST_TEST(!logged("policy: staged"));
}

BOOST_AUTO_TEST_CASE(of_a_trial_that_fails_for_good_the_models_own_up_first) {
  prepared("auto");
  trainer->failures["staged"] = {errc::lost, "the link is gone"};
  trainer->held.insert("unpin");
  policy->held.insert("own up");
  auto got = run();
  // An answer that nobody waits for ends the run no second time.
  trainer->held.clear();
  trainer->release();
  run_jobs();
  BOOST_TEST(count("trainer: own up") == 1u);
  BOOST_TEST(count("policy: own up") == 2u);
  BOOST_TEST(!got.ready());
  policy->held.clear();
  policy->release();
  run_jobs();
  failed_in(got, errc::lost, "transferring");
  BOOST_TEST(!logged("policy: in place"));
  heals();
}

// Who is still at it may be so for long.
BOOST_AUTO_TEST_CASE(a_link_that_breaks_is_told_before_the_others_are_done) {
  prepared("auto");
  trainer->failures["staged"] = {errc::lost, "the link is gone"};
  policy->held.insert("staged 1/0");
  auto got = run();
  advance_time(499ms);
  BOOST_TEST(!logged("policy: own up"));
  advance_time(1ms);
  BOOST_TEST(logged("policy: own up"));
  BOOST_TEST(!got.ready());
  policy->held.clear();
  policy->release();
  run_jobs();
  failed_in(got, errc::lost, "transferring");
}

// Somebody has named what else there is, and the job ends of that.
BOOST_AUTO_TEST_CASE(memory_that_is_not_all_that_lacks_is_not_tried_in_place) {
  prepared("auto");
  policy->failures["staged 1/0"] = {errc::exhausted, "no 4 GiB of memory"};
  policy->failures["staged 0/0"] = {errc::timed_out, "nobody came"};
  trainer->held.insert("staged");
  auto got = run();
  advance_time(500ms);
  BOOST_TEST(logged("policy: own up"));
  trainer->held.clear();
  trainer->release();
  run_jobs();
  BOOST_TEST((got.failure().code() == errc::exhausted));
  BOOST_TEST(!logged("policy: in place"));
}

BOOST_AUTO_TEST_CASE(what_was_staged_once_is_no_trial_any_more) {
  prepared("auto");
  run().value();
  log->clear();
  policy->failures["staged 1/0"] = {errc::exhausted, "no 4 GiB of memory"};
  auto got = run();
  failed_in(got, errc::exhausted, "transferring");
  BOOST_TEST(got.failure().message().find("sync_mode") != std::string::npos);
  BOOST_TEST(!logged("policy: in place"));
  BOOST_TEST(!logged("policy: own up"));
  heals();
}

BOOST_AUTO_TEST_CASE(a_warm_up_that_fails_for_good_is_owned_up_to) {
  options.mode = "auto";
  options.warm_up = true;
  policy->failures["warm up"] = {errc::lost, "the link is gone"};
  BOOST_TEST((prepare().failure().code() == errc::lost));
  BOOST_TEST(count("policy: own up") == 2u);
  options.mode = "staged";
  log->clear();
  BOOST_TEST((prepare().failure().code() == errc::lost));
  BOOST_TEST(!logged("policy: own up"));
}

BOOST_AUTO_TEST_CASE(a_run_that_lacks_memory_in_place_too_fails_once) {
  prepared("auto");
  for (const auto* mode : {"staged 1/0", "in place 1/0"})
    policy->failures[mode] = {errc::exhausted, "no memory at all"};
  auto got = run();
  failed_in(got, errc::exhausted, "transferring");
  // It has been tried.
  BOOST_TEST(got.failure().message().find("sync_mode") == std::string::npos);
  BOOST_TEST(count("policy: in place") == 2u);
  heals();
}

// -- weights -------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(what_goes_nowhere_is_told_with_the_plan) {
  BOOST_TEST(prepare().value().warnings.empty());
  trainer->manifests.items[0].parameters.push_back(
    {"lora_A", dtype::float32, {2}, true, {}});
  auto plan = prepare();
  BOOST_REQUIRE(plan.value().warnings.size() == 1u);
  BOOST_TEST(plan.value().warnings[0].find("'lora_A'") != std::string::npos);
  auto dry = ask_and_run<sync_report>(group, run_sync{false, true, 1000});
  BOOST_TEST(dry.value().links.back() == plan.value().warnings[0]);
}

BOOST_AUTO_TEST_CASE(a_destination_without_parameters_is_refused) {
  for (auto& x : policy->manifests.items)
    x.parameters.clear();
  auto plan = prepare();
  BOOST_TEST((plan.failure().code() == errc::invalid));
  BOOST_TEST(plan.failure().message().find("no rank of policy lists parameters")
             != std::string::npos);
  BOOST_TEST(log->empty());
}

BOOST_AUTO_TEST_SUITE_END()
