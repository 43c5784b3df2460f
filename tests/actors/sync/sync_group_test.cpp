// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/sync/sync_group.hpp"

#include <tuple>

#include <boost/test/unit_test.hpp>

#include "support/actor_fixture.hpp"
#include "support/stub_model.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using namespace std::string_literals;
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
  std::shared_ptr<test::model_script> trainer = script("trainer", 1);
  std::shared_ptr<test::model_script> policy = script("policy", 2);
  protocol::dist_model_actor source = spawn<test::stub_model>(trainer);
  protocol::dist_model_actor destination = spawn<test::stub_model>(policy);
  protocol::sync_group_actor group = spawn<sync::sync_group>("t2p", source,
                                                             destination);
  protocol::sync_options options;

  fixture() {
    trainer->sends = true;
    trainer->peers = [](const auto&) {
      return std::vector<rank_id>{rank_id{0}, rank_id{1}};
    };
    options.warm_up = false;
  }

  /// `replicas` replicas of one rank with two float32.
  std::shared_ptr<test::model_script> script(const std::string& name,
                                             int replicas) {
    auto out = std::make_shared<test::model_script>();
    out->name = name;
    out->log = log;
    for (auto i = 0; i < replicas; ++i) {
      protocol::worker_manifest x;
      x.worker = {name, replica_id{i}, rank_id{0}};
      x.host = {node_id{0}, i, incarnation{1}};
      x.pid = 100 + i;
      x.parameters = {{"weight", dtype::float32, {2}, true, {}}};
      x.parameter_count = 1;
      out->manifests.items.push_back(std::move(x));
    }
    return out;
  }

  test::answer<sync_plan> prepare() {
    return ask_and_run<sync_plan>(group, prepare_sync{trainer->manifests,
                                                      policy->manifests,
                                                      options, 1000});
  }

  void prepared(const std::string& mode = "staged") {
    options.mode = mode;
    prepare().value();
    log->clear();
  }

  test::answer<sync_report> run(bool validate = false) {
    return ask_and_run<sync_report>(group, run_sync{validate, false, 1000});
  }

  test::answer<sync_report> verify() {
    return ask_and_run<sync_report>(group, verify_sync{1000});
  }

  std::size_t count(const std::string& line) const {
    return static_cast<std::size_t>(std::count(log->begin(), log->end(), line));
  }

  bool logged(const std::string& line) const { return count(line) > 0; }

  /// Each line once, where it came first.
  lines order() const {
    lines out;
    for (const auto& x : *log)
      if (std::find(out.begin(), out.end(), x) == out.end())
        out.push_back(x);
    return out;
  }

  /// The sync has failed in `step` with `code` and says so.
  void failed_in(const test::answer<sync_report>& got, errc code,
                 const std::string& step) {
    BOOST_TEST((got.failure().code() == code));
    auto where = fmt::format("sync t2p ({})", step);
    BOOST_TEST_INFO(got.failure().message());
    BOOST_TEST(got.failure().message().find(where) == 0u);
    if (step != "committing" && step != "swapping")
      BOOST_TEST(!logged("policy: commit"));
  }

  sync::sync_state state() {
    return object_of<sync::sync_group>(group).state();
  }

  /// A run that goes well heals whatever was.
  void heals() {
    trainer->failures.clear();
    policy->failures.clear();
    trainer->silent.clear();
    policy->silent.clear();
    policy->on_report = nullptr;
    trainer->on_report = nullptr;
    log->clear();
    run().value();
    BOOST_TEST(count("policy: commit") == 2u);
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(sync_sync_group, fixture)

// -- preparing -----------------------------------------------------------------

BOOST_AUTO_TEST_CASE(programs_come_first_then_both_ends_of_each_link) {
  auto plan = prepare();
  BOOST_TEST(plan.value().bytes == 16u);
  BOOST_TEST(plan.value().links.size() == 2u);
  BOOST_TEST(plan.value().mode == "staged");
  BOOST_REQUIRE(log->size() == 7u);
  lines first{log->begin(), log->begin() + 3};
  lines opened{log->begin() + 3, log->begin() + 5};
  lines connected{log->begin() + 5, log->end()};
  std::sort(first.begin(), first.end());
  std::sort(opened.begin(), opened.end());
  std::sort(connected.begin(), connected.end());
  BOOST_TEST(first
               == (lines{"policy: install", "policy: install",
                         "trainer: install"}),
             boost::test_tools::per_element());
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

BOOST_AUTO_TEST_CASE(a_warm_up_touches_every_rank_that_moves) {
  options.warm_up = true;
  prepare().value();
  BOOST_TEST(count("policy: warm up") == 2u);
  BOOST_TEST(count("trainer: warm up") == 1u);
  policy->failures["warm up 1/0"] = {errc::lost, "gone"};
  auto again = prepare();
  BOOST_TEST((again.failure().code() == errc::lost));
  BOOST_TEST((run().failure().code() == errc::unavailable));
}

BOOST_AUTO_TEST_CASE(parameters_that_do_not_match_fail_the_preparation) {
  policy->manifests.items[0].parameters[0].extents = {3};
  auto plan = prepare();
  BOOST_TEST((plan.failure().code() == errc::invalid));
  BOOST_TEST(plan.failure().message().find("sync t2p (preparing)") == 0u);
  BOOST_TEST(log->empty());
}

BOOST_AUTO_TEST_CASE(staged_is_refused_where_memory_lacks_and_auto_goes_on) {
  options.mode = "staged";
  options.staging_bytes_max = 7;
  auto plan = prepare();
  BOOST_TEST((plan.failure().code() == errc::exhausted));
  BOOST_TEST(log->empty());
  options.mode = "auto";
  BOOST_TEST(prepare().value().mode == "in place");
}

BOOST_AUTO_TEST_CASE(a_link_that_cannot_be_built_fails_the_preparation) {
  policy->failures["connect"] = {errc::lost, "no route"};
  BOOST_TEST((prepare().failure().code() == errc::lost));
  BOOST_TEST(run().failure().message() == "sync t2p could not be prepared");
}

BOOST_AUTO_TEST_CASE(a_sync_that_was_not_prepared_is_refused) {
  BOOST_TEST((run().failure().code() == errc::unavailable));
  BOOST_TEST((verify().failure().code() == errc::unavailable));
  BOOST_TEST(log->empty());
}

// -- running -------------------------------------------------------------------

// WS-1, WS-2, WS-4: verified, then closed, swapped and opened.
BOOST_AUTO_TEST_CASE(ws_1_2_4_staged_serves_until_everything_is_verified) {
  prepared("staged");
  auto got = run();
  BOOST_TEST(got.value().version.value() == 1u);
  BOOST_TEST(got.value().bytes == 16u);
  BOOST_TEST(got.value().differences.empty());
  BOOST_TEST(order()
               == (lines{"trainer: pin", "policy: enroll", "trainer: staged",
                         "policy: staged", "trainer: unpin", "policy: fence",
                         "policy: swap", "policy: version 1",
                         "policy: commit"}),
             boost::test_tools::per_element());
  BOOST_TEST(count("policy: commit") == 2u);
  policy->version = weight_version{1};
  BOOST_TEST(run().value().version.value() == 2u);
}

BOOST_AUTO_TEST_CASE(ws_1_2_4_in_place_is_fenced_from_the_first_byte) {
  prepared("in_place");
  BOOST_TEST(run().value().version.value() == 1u);
  BOOST_TEST(order()
               == (lines{"trainer: pin", "policy: enroll", "policy: fence",
                         "trainer: in place", "policy: in place",
                         "trainer: unpin", "policy: version 1",
                         "policy: commit"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(ws_1_nothing_moves_before_the_fence_is_confirmed) {
  prepared("in_place");
  policy->held.insert("fence 1/0");
  auto got = run();
  BOOST_TEST(!logged("trainer: in place"));
  BOOST_TEST(!logged("policy: in place"));
  policy->release();
  run_jobs();
  BOOST_TEST(logged("trainer: in place"));
  BOOST_TEST(got.value().version.value() == 1u);
}

BOOST_AUTO_TEST_CASE(ws_2_nobody_swaps_before_all_ends_have_reported) {
  prepared("staged");
  policy->held.insert("staged 1/0");
  auto got = run();
  BOOST_TEST(logged("policy: staged"));
  BOOST_TEST(!logged("policy: fence"));
  policy->release();
  run_jobs();
  BOOST_TEST(logged("policy: swap"));
  BOOST_TEST(got.ready());
}

BOOST_AUTO_TEST_CASE(ws_6_nothing_moves_before_all_sources_are_pinned) {
  prepared("staged");
  trainer->held.insert("pin");
  auto got = run();
  BOOST_TEST(!logged("trainer: staged"));
  trainer->release();
  run_jobs();
  BOOST_TEST(got.ready());
  BOOST_TEST(logged("trainer: unpin"));
}

// Ranks that would hear it between different calls could wait for each other:
// one in a collective, one for the end of the sync.
BOOST_AUTO_TEST_CASE(ws_6_all_ranks_of_a_model_hear_a_step_at_once) {
  auto& items = trainer->manifests.items;
  items.push_back(items.front());
  items.back().worker.rank = rank_id{1};
  items.back().pid = 7;
  trainer->peers = [](const protocol::worker_name& x) {
    return std::vector<rank_id>{x.rank};
  };
  policy->peers = [this](const protocol::worker_name& x) {
    return std::vector<rank_id>{policy->number_of(x)};
  };
  prepared("staged");
  BOOST_TEST(run().value().version.value() == 1u);
  const auto& orders = object_of<test::stub_model>(source).orders;
  BOOST_REQUIRE(orders.size() == 2u);
  BOOST_TEST((orders[0].action == protocol::sync_action::pin));
  BOOST_TEST(orders[0].items.size() == 2u);
  for (const auto& x : object_of<test::stub_model>(destination).orders)
    BOOST_TEST(x.items.size() == 2u);
}

BOOST_AUTO_TEST_CASE(validation_compares_before_it_commits) {
  for (const auto* mode : {"staged", "in_place"}) {
    prepared(mode);
    BOOST_TEST(run(true).value().version.value() == 1u);
    BOOST_TEST(count("policy: compare") == 2u);
    BOOST_TEST(count("trainer: compare") == 1u);
    BOOST_TEST(log->back() == "policy: commit");
  }
}

BOOST_AUTO_TEST_CASE(a_validation_that_finds_a_difference_commits_nothing) {
  prepared("in_place");
  policy->on_report = [](protocol::transfer_report& x) {
    x.difference = "tensor 'weight' element 1: 2 here, 3 at rank 0";
  };
  auto got = run(true);
  BOOST_TEST(got.failure().message().find("element 1") != std::string::npos);
  BOOST_TEST(got.failure().message().find("policy/") != std::string::npos);
  failed_in(got, errc::corrupt, "verifying");
  BOOST_TEST((state() == sync::sync_state::failed));
  heals();
}

BOOST_AUTO_TEST_CASE(a_dry_run_tells_the_plan_and_asks_nobody) {
  prepared();
  auto got = ask_and_run<sync_report>(group, run_sync{false, true, 1000});
  BOOST_TEST(got.value().links.size() == 2u);
  BOOST_TEST(got.value().bytes == 16u);
  BOOST_TEST(got.value().version.value() == 0u);
  BOOST_TEST(log->empty());
}

BOOST_AUTO_TEST_CASE(what_does_not_train_travels_once) {
  trainer->manifests.items[0].parameters.push_back(
    {"frozen", dtype::float32, {2}, false, {}});
  for (auto& x : policy->manifests.items)
    x.parameters = trainer->manifests.items[0].parameters;
  options.requires_grad = true;
  trainer->bytes = policy->bytes = 16;
  prepared();
  BOOST_TEST(run().value().bytes == 32u);
  trainer->bytes = policy->bytes = 8;
  BOOST_TEST(run().value().bytes == 16u);
  // After a failure everybody gets everything again.
  policy->failures["staged"] = {errc::corrupt, "a bit fell over"};
  BOOST_TEST(!run().get());
  policy->failures.clear();
  trainer->bytes = policy->bytes = 16;
  BOOST_TEST(run().value().bytes == 32u);
}

BOOST_AUTO_TEST_CASE(freed_links_are_built_again_by_the_next_run) {
  options.free_groups = true;
  prepared();
  run().value();
  BOOST_TEST(logged("trainer: leave"));
  BOOST_TEST(logged("policy: leave"));
  log->clear();
  run().value();
  BOOST_TEST(logged("trainer: open"));
  BOOST_TEST(logged("policy: connect"));
}

BOOST_AUTO_TEST_CASE(memory_that_moved_costs_new_links) {
  prepared();
  trainer->moved = true;
  run().value();
  BOOST_TEST(order()[2] == "trainer: leave");
  BOOST_TEST(logged("trainer: connect"));
  BOOST_TEST(logged("policy: connect"));
}

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
  auto got = run();
  BOOST_TEST((got.failure().code() == errc::invalid));
  BOOST_TEST((run().failure().code() == errc::unavailable));
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
                               500}};
  auto got = run();
  advance_time(950ms);
  BOOST_TEST(logged("trainer: look"));
  BOOST_TEST(logged("policy: look"));
  advance_time(2000ms);
  const auto& text = got.failure().message();
  BOOST_TEST_INFO(text);
  for (const auto* words :
       {"sync t2p (transferring)", "did not arrive in 1.0 s: policy/1/0",
        "arrived: trainer/0/0, policy/0/0", "bucket 2 of 3", "'weight'",
        "policy/1/0: its process does not answer, for 0.5 s"})
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

// -- one at a time -------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_second_run_while_one_is_going_on_is_refused) {
  prepared("staged");
  policy->held.insert("staged");
  auto first = run();
  auto second = run();
  BOOST_TEST((second.failure().code() == errc::unavailable));
  BOOST_TEST(second.failure().message() == "sync t2p is transferring");
  BOOST_TEST((verify().failure().code() == errc::unavailable));
  BOOST_TEST((prepare().failure().code() == errc::unavailable));
  policy->release();
  run_jobs();
  BOOST_TEST(first.value().version.value() == 1u);
}

BOOST_AUTO_TEST_CASE(two_syncs_of_one_source_run_side_by_side) {
  prepared("staged");
  auto reference = script("reference", 2);
  auto other = spawn<test::stub_model>(reference);
  auto second = spawn<sync::sync_group>("t2r", source, other);
  ask_and_run<sync_plan>(second,
                         prepare_sync{trainer->manifests, reference->manifests,
                                      options, 1000})
    .value();
  policy->held.insert("staged");
  auto slow = run();
  auto fast = ask_and_run<sync_report>(second, run_sync{false, false, 1000});
  BOOST_TEST(fast.value().version.value() == 1u);
  BOOST_TEST(!slow.ready());
  policy->release();
  run_jobs();
  BOOST_TEST(slow.value().version.value() == 1u);
}

BOOST_AUTO_TEST_CASE(verifying_moves_nothing_and_reports_differences) {
  prepared();
  BOOST_TEST(verify().value().differences.empty());
  policy->on_report = [](protocol::transfer_report& x) {
    x.difference = "tensor 'weight' element 1: 2 here, 3 at rank 0";
  };
  auto other = verify();
  BOOST_REQUIRE(other.value().differences.size() == 2u);
  BOOST_TEST(other.value().differences[0].find("policy/") == 0u);
  BOOST_TEST(!logged("policy: fence"));
  BOOST_TEST(!logged("policy: staged"));
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
