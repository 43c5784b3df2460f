// SPDX-License-Identifier: Apache-2.0
// When a sync has the devices of its ranks, if those of one replica have
// several.
#include "actors/sync/sync_group_fixture.hpp"
#include "troupe/actors/model/device_desk.hpp"

using namespace std::chrono_literals;
using namespace troupe;
using namespace troupe::protocol;

namespace {

struct fixture : test::sync_group_fixture {
  device_desk_actor desk = spawn<model::device_desk>();
  std::uint64_t others = 1'000'000;

  fixture() {
    group = spawn<sync::sync_group>("t2p", source, destination, 0u, desk);
    // One replica of two ranks instead of two of one.
    for (std::size_t i = 0; i < 2; ++i) {
      auto& x = policy->manifests.items[i];
      x.worker.replica = replica_id{0};
      x.worker.rank = rank_id{static_cast<std::int32_t>(i)};
      x.host_device = i == 0 ? "GPU-0" : "GPU-1";
    }
  }

  /// Somebody else wants one of the devices, and says so to `desk`.
  test::answer<ack> wanted() {
    return ask_and_run<ack>(desk, lease_devices{++others, "reward", {"GPU-1"}});
  }

  void given_back() { tell(desk, end_lease{others}); }

  test::answer<sync_plan> ask_to_prepare(std::uint32_t together = 1) {
    return ask_and_run<sync_plan>(group, prepare_sync{trainer->manifests,
                                                      policy->manifests,
                                                      options, 1000, together});
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(sync_sync_lease, fixture)

BOOST_AUTO_TEST_CASE(a_run_has_them_from_its_beginning_to_its_end) {
  prepared();
  policy->held.insert("staged");
  auto got = run();
  auto next = wanted();
  BOOST_TEST(!got.ready());
  BOOST_TEST(!next.ready());
  policy->release();
  run_jobs();
  got.value();
  next.value();
}

BOOST_AUTO_TEST_CASE(a_preparation_has_them_until_all_have_answered) {
  // One has failed, another is still at it, and might wait for a peer.
  trainer->failures["install"] = {errc::failed, "no room"};
  policy->held.insert("install");
  auto got = ask_to_prepare();
  BOOST_TEST((got.failure().code() == errc::failed));
  auto next = wanted();
  BOOST_TEST(!next.ready());
  policy->release();
  run_jobs();
  next.value();
}

BOOST_AUTO_TEST_CASE(
  who_does_not_answer_keeps_them_no_longer_than_it_may_take) {
  trainer->failures["install"] = {errc::failed, "no room"};
  policy->silent.insert("install");
  BOOST_TEST(ask_to_prepare().get().has_value() == false);
  auto next = wanted();
  BOOST_TEST(!next.ready());
  advance_time(3s);
  next.value();
}

BOOST_AUTO_TEST_CASE(who_has_them_for_too_long_is_named) {
  prepared();
  wanted().value();
  auto got = run();
  advance_time(1s);
  BOOST_TEST(!got.ready());
  advance_time(1s);
  BOOST_TEST((got.failure().code() == errc::timed_out));
  BOOST_TEST(got.failure().message().find("reward had first")
               != std::string::npos,
             got.failure().message());
  given_back();
  run().value();
}

BOOST_AUTO_TEST_CASE(a_run_waits_as_long_as_all_syncs_together_may_take) {
  options.mode = "staged";
  ask_to_prepare(3).value();
  wanted().value();
  auto got = run();
  advance_time(3s);
  BOOST_TEST(!got.ready());
  given_back();
  got.value();
}

BOOST_AUTO_TEST_SUITE_END()
