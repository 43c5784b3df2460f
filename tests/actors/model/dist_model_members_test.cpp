// SPDX-License-Identifier: Apache-2.0
// Replicas that are lost, come back, are added and removed.
#include <random>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "actors/model/dist_model_fixture.hpp"
#include "support/scratch.hpp"
#include "troupe/actors/protocol/rendezvous.hpp"

using namespace troupe;
using namespace troupe::protocol;
using test::job_of;

namespace {

using numbers = std::vector<std::int64_t>;

struct fixture : model_test::dist_model_fixture {
  test::scratch folder;

  std::string directory() const { return folder.path().string(); }

  test::answer<repaired> repair(const dist_model_actor& whom, repair_model x) {
    x.timeout_ms = 1000;
    return ask_and_run<repaired>(whom, x);
  }

  std::vector<std::int32_t> members_of(const manifests& x) const {
    std::vector<std::int32_t> out;
    for (const auto& item : x.items)
      out.push_back(item.worker.replica.value());
    std::sort(out.begin(), out.end());
    return out;
  }

  static replica_seats seats(std::int32_t id, std::int32_t device) {
    return {replica_id{id}, {{node_id{0}, device}}};
  }

  /// Each of `count` rows comes back in order.
  void check_serves(const dist_model_actor& whom, std::int64_t count) {
    auto got = call(whom, "echo", test::numbered(count));
    numbers expected;
    for (std::int64_t i = 0; i < count; ++i)
      expected.push_back(i);
    BOOST_TEST(test::numbers_of(fetch(got.value().output)) == expected,
               boost::test_tools::per_element());
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(model_dist_model_members, fixture)

BOOST_AUTO_TEST_CASE(a_repair_of_what_is_whole_keeps_every_module) {
  auto policy = ready(2);
  auto got = repair(policy, {}).value();
  BOOST_TEST(got.members.items.size() == 2u);
  BOOST_TEST(got.made_anew.empty());
  BOOST_TEST(calls_of("setup") == 0u);
  check_serves(policy, 4);
}

BOOST_AUTO_TEST_CASE(only_the_replica_that_was_lost_is_made_anew_and_loads) {
  auto policy = ready(2);
  ask_and_run<ack>(policy, run_checkpoint{false, directory(), 1000}).value();
  lose_host(1);
  notes->calls.clear();
  repair_model order;
  order.checkpoint = directory();
  auto got = repair(policy, order).value();
  BOOST_REQUIRE(got.made_anew.size() == 1u);
  BOOST_TEST(got.made_anew.front().value() == 1);
  BOOST_TEST((members_of(got.members) == std::vector{0, 1}));
  BOOST_TEST(calls_of("setup") == 1u);
  BOOST_TEST(calls_of(fmt::format("load {}/policy/1/weight.rank0", directory()))
             == 1u);
  BOOST_TEST(calls_of(fmt::format("load {}/policy/0/weight.rank0", directory()))
             == 0u);
  check_serves(policy, 5);
}

BOOST_AUTO_TEST_CASE(all_load_if_none_may_keep_its_state) {
  auto policy = ready(2);
  ask_and_run<ack>(policy, run_checkpoint{false, directory(), 1000}).value();
  lose_host(1);
  notes->calls.clear();
  repair_model order;
  order.checkpoint = directory();
  order.load_all = true;
  auto got = repair(policy, order).value();
  BOOST_TEST(got.made_anew.size() == 1u);
  BOOST_TEST(got.members.items.size() == 2u);
  BOOST_TEST(calls_of("setup") == 1u);
  for (auto replica : {0, 1})
    BOOST_TEST(calls_of(fmt::format("load {}/policy/{}/weight.rank0",
                                    directory(), replica))
               == 1u);
  check_serves(policy, 4);
}

// So that nobody takes what an earlier attempt left behind for a failure of a
// later one.
BOOST_AUTO_TEST_CASE(reports_say_in_which_attempt_a_replica_was_at_work) {
  auto job = job_of("policy", 2, 1);
  job.attempt = 3;
  auto policy = make(std::move(job));
  ask_and_run<manifests>(policy, set_up{1000}).value();
  auto attempts = [this, known = std::size_t{0}]() mutable {
    std::vector<std::uint32_t> of_replicas;
    auto all = reported();
    for (; known < all.size(); ++known)
      if (all[known].operation != "process")
        of_replicas.push_back(all[known].attempt);
      else
        BOOST_TEST(all[known].attempt == 0u);
    return of_replicas;
  };
  lose_host(1);
  BOOST_TEST((attempts() == std::vector<std::uint32_t>{3}));
  repair_model order;
  order.attempt = 5;
  BOOST_TEST(repair(policy, order).value().made_anew.size() == 1u);
  // One that was kept, and one that was made anew.
  for (auto device : {0, 1}) {
    lose_host(device);
    BOOST_TEST((attempts() == std::vector<std::uint32_t>{5}));
  }
}

BOOST_AUTO_TEST_CASE(what_must_load_and_cannot_is_not_repaired) {
  auto policy = ready(2);
  lose_host(0);
  repair_model order;
  order.must_load = true;
  auto got = repair(policy, order);
  BOOST_TEST((got.failure().code() == errc::unavailable));
  BOOST_TEST(got.failure().message()
             == "policy has lost replica 0 and nothing to load it from");
}

BOOST_AUTO_TEST_CASE(a_lost_replica_is_dropped_while_another_is_left) {
  auto policy = ready(3);
  lose_host(1);
  repair_model order;
  order.drop = true;
  auto got = repair(policy, order).value();
  BOOST_REQUIRE(got.dropped.size() == 1u);
  BOOST_TEST(got.dropped.front().value() == 1);
  BOOST_TEST((members_of(got.members) == std::vector{0, 2}));
  check_serves(policy, 4);
  lose_host(0);
  BOOST_TEST(repair(policy, order).value().members.items.size() == 1u);
  check_serves(policy, 3);
  lose_host(2);
  auto last = repair(policy, order);
  BOOST_TEST((last.failure().code() == errc::unavailable));
  BOOST_TEST(last.failure().message()
             == "policy has lost replica 2 and has no other one");
}

BOOST_AUTO_TEST_CASE(a_replica_that_was_added_gets_its_share_of_the_rows) {
  auto policy = ready(1);
  change_replicas more;
  more.timeout_ms = 1000;
  more.add = {seats(1, 1), seats(4, 0)};
  auto told = ask_and_run<manifests>(policy, more).value();
  BOOST_TEST((members_of(told) == std::vector{1, 4}));
  notes->calls.clear();
  check_serves(policy, 6);
  BOOST_TEST(calls_of("echo") == 3u);
}

// The run has failed before anybody could use it.
BOOST_AUTO_TEST_CASE(a_repair_leaves_out_what_was_just_added) {
  auto policy = ready(1);
  change_replicas more;
  more.timeout_ms = 1000;
  more.add = {seats(1, 1)};
  ask_and_run<manifests>(policy, more).value();
  BOOST_TEST(
    (members_of(repair(policy, {}).value().members) == std::vector{0}));
  check_serves(policy, 4);
  ask_and_run<manifests>(policy, more).value();
  check_serves(policy, 4);
  BOOST_TEST(
    (members_of(repair(policy, {}).value().members) == std::vector{0, 1}));
}

BOOST_AUTO_TEST_CASE(a_repair_gives_up_what_was_being_added) {
  auto policy = ready(1);
  change_replicas more;
  more.timeout_ms = 1000;
  more.add = {seats(1, 1)};
  auto added = ask<manifests>(policy, more);
  run_one();
  auto kept = repair(policy, {}).value();
  BOOST_TEST((members_of(kept.members) == std::vector{0}));
  BOOST_TEST((added.failure().code() == errc::aborted));
  check_serves(policy, 4);
}

BOOST_AUTO_TEST_CASE(a_replica_that_was_removed_is_closed) {
  auto policy = ready(3);
  change_replicas less;
  less.timeout_ms = 1000;
  less.remove = {replica_id{0}, replica_id{2}};
  BOOST_TEST(ask_and_run<manifests>(policy, less).value().items.empty());
  run_jobs();
  check_serves(policy, 4);
  BOOST_TEST(calls_of("echo") == 1u);
  auto known = ask_and_run<node_status>(machine, get_node_status{}).value();
  for (const auto& host : known.hosts)
    BOOST_TEST(host.workers.size() == (host.device == "cpu:1" ? 1u : 0u),
               host.device);
  // Its place is free for another one.
  change_replicas more;
  more.timeout_ms = 1000;
  more.add = {seats(0, 0)};
  ask_and_run<manifests>(policy, more).value();
  check_serves(policy, 4);
  BOOST_TEST(reported().empty());
}

// Its process, which had the links, has ended.
BOOST_AUTO_TEST_CASE(links_of_a_replica_that_is_being_made_are_closed) {
  auto policy = make(test::job_of("policy", 2, 1));
  close_groups all;
  all.timeout_ms = 1000;
  for (auto replica : {0, 1})
    all.items.push_back({{"policy", replica_id{replica}, rank_id{0}}, "link"});
  auto closed = ask_and_run<ack>(policy, all);
  BOOST_TEST(closed.get().has_value());
}

// A sync closes the links of its last plan, whoever is left of it.
BOOST_AUTO_TEST_CASE(links_are_closed_although_one_of_their_replicas_is_gone) {
  auto policy = ready(3);
  open_groups seats;
  seats.timeout_ms = 1000;
  for (auto replica : {0, 1, 2})
    seats.items.push_back({{"policy", replica_id{replica}, rank_id{0}},
                           fmt::format("link/{}", replica),
                           "inproc",
                           seat_kind::receiver,
                           rank_id{1},
                           2});
  ask_and_run<group_addresses>(policy, seats).value();
  change_replicas less;
  less.timeout_ms = 1000;
  less.remove = {replica_id{2}};
  ask_and_run<manifests>(policy, less).value();
  ask_and_run<ack>(policy, leave(seats)).value();
  // Who still had one would keep its end of the name.
  seats.items.pop_back();
  ask_and_run<group_addresses>(policy, seats).value();
}

BOOST_AUTO_TEST_CASE(changes_that_make_no_sense_change_nothing) {
  auto policy = ready(2);
  auto refused = [&](change_replicas x) {
    x.timeout_ms = 1000;
    auto got = ask_and_run<manifests>(policy, x);
    BOOST_TEST((got.failure().code() == errc::invalid));
    return got.failure().message();
  };
  BOOST_TEST(refused({{seats(1, 1)}, {}})
             == "policy cannot have another replica 1");
  BOOST_TEST(refused({{}, {replica_id{7}}}) == "policy has no replica 7");
  BOOST_TEST(refused({{}, {replica_id{0}, replica_id{1}}})
             == "policy would have no replica");
  BOOST_TEST(refused({{{replica_id{3}, {}}}, {}})
             == "policy needs other ranks for replica 3");
  check_serves(policy, 4);
}

BOOST_AUTO_TEST_CASE(a_replica_that_cannot_be_set_up_is_not_added) {
  auto policy = ready(1);
  notes->before = [](const std::string& what) {
    if (what == "setup")
      throw std::runtime_error("no more chairs");
  };
  change_replicas more;
  more.timeout_ms = 1000;
  more.add = {seats(1, 1)};
  auto got = ask_and_run<manifests>(policy, more);
  BOOST_TEST(got.failure().message().find("no more chairs")
             != std::string::npos);
  // Nobody ends a run for that.
  for (const auto& x : reported())
    BOOST_TEST((x.level == severity::warning));
  BOOST_TEST(!reported().empty());
  notes->before = nullptr;
  notes->calls.clear();
  check_serves(policy, 4);
  BOOST_TEST(calls_of("echo") == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
