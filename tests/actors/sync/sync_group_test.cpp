// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/sync/sync_group.hpp"

#include <tuple>

#include "actors/sync/sync_group_fixture.hpp"
#include "troupe/actors/model/device_desk.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace std::chrono_literals;
using namespace std::string_literals;

BOOST_FIXTURE_TEST_SUITE(sync_sync_group, sync_group_fixture)

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

// As with `offload: true`: memory is away between two syncs.
BOOST_AUTO_TEST_CASE(links_that_live_for_a_run_are_built_once_in_it) {
  options.free_groups = true;
  prepare().value();
  BOOST_TEST(logged("policy: install"));
  BOOST_TEST(!logged("trainer: open"));
  trainer->moved = policy->moved = true;
  for (std::size_t i = 1; i <= 3; ++i) {
    run(i == 2).value();
    for (const auto* line :
         {"trainer: open", "policy: open", "trainer: connect",
          "policy: connect", "trainer: leave"})
      BOOST_TEST(count(line) == i);
  }
  // Where nothing is freed they stand from the preparation on.
  log->clear();
  options.free_groups = false;
  trainer->moved = policy->moved = false;
  prepare().value();
  run().value();
  BOOST_TEST(count("trainer: open") == 1u);
}

BOOST_AUTO_TEST_CASE(memory_that_moved_costs_new_links) {
  prepared();
  trainer->moved = true;
  run().value();
  // Who reads the other one's memory lets go of it first.
  BOOST_TEST(order()[2] == "policy: leave");
  BOOST_TEST(count("trainer: open") == 1u);
  BOOST_TEST(logged("trainer: leave"));
  BOOST_TEST(logged("trainer: connect"));
  BOOST_TEST(logged("policy: connect"));
}

// A rank says so once, also to a run that comes to nothing.
BOOST_AUTO_TEST_CASE(memory_that_moved_in_a_run_that_failed_costs_new_links) {
  prepared();
  trainer->moved = true;
  policy->failures["enroll 1/0"] = {errc::failed, "it broke"};
  BOOST_TEST(!run().failure().message().empty());
  policy->failures.clear();
  trainer->moved = false;
  log->clear();
  run().value();
  BOOST_TEST(logged("trainer: connect"));
  BOOST_TEST(logged("policy: connect"));
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
  // Who was only looked at hears that it is over.
  BOOST_TEST(count("policy: unpin") == 2u);
  BOOST_TEST(!logged("policy: reopen"));
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

// -- devices -------------------------------------------------------------------

struct on_devices : sync_group_fixture {
  protocol::device_desk_actor desk = spawn<model::device_desk>();

  on_devices() {
    place(trainer->manifests.items[0], "GPU-a");
    place(policy->manifests.items[0], "GPU-b");
    place(policy->manifests.items[1], "GPU-c");
    group = spawn<sync::sync_group>("t2p", source, destination, 0u, desk);
  }

  static void place(protocol::worker_manifest& x, const std::string& device) {
    x.device = x.host_device = device;
  }

  /// Numbers that no sync chooses.
  static constexpr std::uint64_t others = 1'000'000;

  answer<ack> lease(std::uint64_t number, const std::string& device) {
    protocol::lease_devices x;
    x.number = others + number;
    x.owner = "other";
    x.devices = {device};
    return ask_and_run<ack>(desk, x);
  }

  void give_back(std::uint64_t number) {
    tell(desk, protocol::end_lease{others + number});
  }
};

BOOST_FIXTURE_TEST_CASE(devices_are_asked_for_before_anything_is_pinned,
                        on_devices) {
  prepared();
  lease(1, "GPU-c").value();
  auto got = run();
  BOOST_TEST(!got.ready());
  BOOST_TEST(log->empty());
  give_back(1);
  got.value();
  BOOST_TEST(logged("policy: commit"));
  // And given back.
  for (std::uint64_t i = 2; const auto* device : {"GPU-a", "GPU-b", "GPU-c"})
    lease(i++, device).value();
}

BOOST_FIXTURE_TEST_CASE(devices_that_stay_away_end_the_run_before_it_begins,
                        on_devices) {
  prepared();
  lease(1, "GPU-a").value();
  auto got = run();
  advance_time(std::chrono::seconds{60});
  BOOST_TEST((got.failure().code() == errc::timed_out));
  BOOST_TEST(got.failure().message().find("t2p waited") != std::string::npos);
  BOOST_TEST(log->empty());
  give_back(1);
  run().value();
}

BOOST_FIXTURE_TEST_CASE(links_between_devices_are_built_under_a_lease,
                        on_devices) {
  lease(1, "GPU-c").value();
  auto got = prepare();
  BOOST_TEST(!got.ready());
  BOOST_TEST(log->empty());
  give_back(1);
  got.value();
  BOOST_TEST(logged("policy: connect"));
  for (std::uint64_t i = 2; const auto* device : {"GPU-a", "GPU-b", "GPU-c"}) {
    lease(i, device).value();
    give_back(i++);
  }
  // Also what fails gives them back.
  policy->failures["connect"] = {errc::lost, "no route"};
  BOOST_TEST(!prepare().get());
  lease(5, "GPU-c").value();
}

// Planning anew has them, and the run after it: one after the other.
BOOST_FIXTURE_TEST_CASE(a_run_that_plans_anew_asks_twice_and_waits_for_others,
                        on_devices) {
  options.when_lost = "drop";
  policy->manifests.items[0].pid = 200;
  prepared();
  const error gone{errc::lost, "its process is gone"};
  policy->failures["staged 1/0"] = gone;
  policy->failures["enroll 1/0"] = gone;
  trainer->peers = [&](const auto&) {
    return count("policy: install") == 0 ? std::vector{rank_id{0}, rank_id{1}}
                                         : std::vector{rank_id{0}};
  };
  policy->failures.erase("enroll 1/0");
  policy->on_report = [&](protocol::transfer_report&) {
    policy->failures["enroll 1/0"] = gone;
  };
  policy->held.insert("install");
  auto got = run();
  BOOST_TEST(!got.ready());
  BOOST_TEST(logged("policy: install"));
  // Somebody asks while it plans; it waits for its turn.
  auto other = lease(1, "GPU-b");
  BOOST_TEST(!other.ready());
  policy->held.clear();
  policy->release();
  run_jobs();
  BOOST_TEST(other.ready());
  BOOST_TEST(!got.ready());
  give_back(1);
  BOOST_TEST(got.value().dropped.size() == 1u);
}

// Its ranks talk to each other when they take new weights in.
BOOST_FIXTURE_TEST_CASE(a_replica_of_several_devices_has_them_for_on_sync,
                        on_devices) {
  auto& items = policy->manifests.items;
  items[1].worker = {"policy", replica_id{0}, rank_id{1}};
  place(items[1], "GPU-b");
  // In the trainer's process and on its device: no link goes between devices.
  for (auto* x : {&items[0], &items[1]}) {
    x->host = trainer->manifests.items[0].host;
    x->pid = trainer->manifests.items[0].pid;
    x->device = "GPU-a";
  }
  items[0].host_device = "GPU-a";
  prepared();
  lease(1, "GPU-b").value();
  auto got = run();
  BOOST_TEST(!got.ready());
  BOOST_TEST(log->empty());
  give_back(1);
  got.value();
}

BOOST_FIXTURE_TEST_CASE(a_run_that_fails_gives_its_devices_back, on_devices) {
  prepared();
  trainer->failures["pin"] = error{errc::failed, "no"};
  BOOST_TEST(!run().get());
  for (std::uint64_t i = 1; const auto* device : {"GPU-a", "GPU-b", "GPU-c"})
    lease(i++, device).value();
}

BOOST_AUTO_TEST_SUITE_END()
