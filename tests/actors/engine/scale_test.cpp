// SPDX-License-Identifier: Apache-2.0
// Orders that the engine obeys between two episodes.
#include <boost/test/unit_test.hpp>

#include "actors/engine/engine_fixture.hpp"
#include "troupe/actors/engine/error_follower.hpp"

using namespace troupe;
using namespace troupe::engine_test;
using protocol::scale_model;
using protocol::scaled;

namespace {

struct fixture : engine_fixture {
  fixture() {
    planner::job_spec job;
    planner::placement plan;
    for (auto* name : {"policy", "trainer"}) {
      planner::model_spec x;
      x.name = name;
      x.num_gpu = 1;
      job.models.push_back(x);
      planner::model_place place;
      place.name = name;
      place.replicas = {{{{node_id{0}, {device_id{0}}}}}};
      plan.models.push_back(place);
    }
    parts.members = {job, planner::cluster::uniform(1, 3), plan};
    sync("t2p", sync_schedule_kind::by_frequency, 1);
    sync("p2x", sync_schedule_kind::once, 1, "policy", "other");
    // Holds the run in its first episode.
    policy->held.insert("generate");
  }

  test::answer<scaled> order(const std::string& model, std::int32_t count) {
    return ask_and_run<scaled>(runner, scale_model{model, count});
  }

  void go_on() {
    policy->held.clear();
    policy->release();
    run_jobs();
  }

  static protocol::worker_manifest rank_of(std::int32_t replica) {
    protocol::worker_manifest x;
    x.worker = {"policy", replica_id{replica}, rank_id{0}};
    return x;
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(engine_scale, fixture)

BOOST_AUTO_TEST_CASE(new_replicas_are_synced_before_the_next_episode) {
  parts.syncs.pop_back();
  start();
  auto done = order("policy", 3);
  BOOST_TEST(!done.ready());
  BOOST_TEST(policy->changes.empty());
  log->clear();
  go_on();
  BOOST_TEST(done.value().num_replica_before == 1);
  BOOST_TEST(done.value().num_replica == 3);
  BOOST_TEST(done.value().episode == 1);
  BOOST_REQUIRE(policy->changes.size() == 1u);
  const auto& told = policy->changes.front();
  BOOST_REQUIRE(told.add.size() == 2u);
  BOOST_TEST(told.remove.empty());
  BOOST_TEST(told.add[0].id.value() == 1);
  BOOST_TEST(told.add[0].ranks.front().device == 1);
  BOOST_TEST(told.add[1].id.value() == 2);
  BOOST_TEST(told.add[1].ranks.front().device == 2);
  auto at = [&](const std::string& line) {
    return std::find(log->begin(), log->end(), line);
  };
  BOOST_TEST((at("policy: change") < at("t2p: prepare")));
  auto second = std::find(at("policy: generate") + 1, log->end(),
                          "policy: generate");
  BOOST_TEST((at("t2p: prepare") < second));
  // Of two episodes, and once for the new ones.
  BOOST_TEST(count("t2p: run") == 3);
  // That one is no figure of the run.
  BOOST_TEST(outcome().syncs.size() == 3u);
  BOOST_TEST((outcome().end == run_end::finished));
}

BOOST_AUTO_TEST_CASE(orders_are_obeyed_one_after_the_other) {
  parts.syncs.pop_back();
  start();
  auto more = order("policy", 2);
  auto less = order("policy", 1);
  go_on();
  BOOST_TEST(more.value().num_replica == 2);
  BOOST_TEST(less.value().num_replica_before == 2);
  BOOST_REQUIRE(policy->changes.size() == 2u);
  BOOST_REQUIRE(policy->changes[1].remove.size() == 1u);
  BOOST_TEST(policy->changes[1].remove.front().value() == 1);
}

BOOST_AUTO_TEST_CASE(what_a_sync_leaves_behind_is_one_warning) {
  parts.syncs.pop_back();
  *warnings = {"2 of 40 tensors of trainer go nowhere"};
  auto got = std::make_shared<std::vector<protocol::error_report>>();
  auto follower = spawn<engine::error_follower>(
    [got](const auto& x) { got->push_back(x); });
  caf::anon_send(parts.errors, protocol::subscribe_errors{follower});
  start();
  auto done = order("policy", 2);
  go_on();
  BOOST_TEST(done.value().num_replica == 2);
  BOOST_TEST((outcome().end == run_end::finished));
  // Also if it is prepared again.
  BOOST_TEST(count("t2p: prepare") == 2);
  BOOST_REQUIRE(got->size() == 1u);
  BOOST_TEST((got->front().level == protocol::severity::warning));
  BOOST_TEST(protocol::to_string(got->front())
             == "sync t2p: 2 of 40 tensors of trainer go nowhere");
}

BOOST_AUTO_TEST_CASE(what_makes_no_sense_is_refused_at_once) {
  const_cast<model_declaration*>(app.models.find("trainer"))->set_trainable();
  start();
  BOOST_TEST((order("polizy", 2).failure().code() == errc::invalid));
  BOOST_TEST(order("polizy", 2).failure().message()
             == "there is no model 'polizy'; did you mean 'policy'?");
  BOOST_TEST((order("policy", 0).failure().code() == errc::invalid));
  BOOST_TEST((order("policy", 1'000'000).failure().code() == errc::invalid));
  BOOST_TEST((order("trainer", 2).failure().code() == errc::invalid));
  go_on();
  BOOST_TEST((outcome().end == run_end::finished));
  BOOST_TEST(policy->changes.empty());
}

BOOST_AUTO_TEST_CASE(who_gets_weights_only_once_keeps_its_replicas) {
  parts.syncs.clear();
  sync("t2p", sync_schedule_kind::once, 1);
  start();
  auto refused = order("policy", 2).failure();
  BOOST_TEST((refused.code() == errc::invalid));
  BOOST_TEST(refused.message().find("only once") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(without_devices_the_run_goes_on_as_it_was) {
  parts.syncs.pop_back();
  start();
  auto done = order("policy", 4);
  go_on();
  BOOST_TEST((done.failure().code() == errc::exhausted));
  BOOST_TEST(policy->changes.empty());
  BOOST_TEST((outcome().end == run_end::finished));
}

BOOST_AUTO_TEST_CASE(replicas_that_cannot_be_made_are_left_out) {
  parts.syncs.pop_back();
  policy->failures["change"] = {errc::failed, "no more chairs"};
  start();
  auto done = order("policy", 2);
  go_on();
  BOOST_TEST(done.failure().message() == "no more chairs");
  BOOST_TEST((outcome().end == run_end::finished));
  BOOST_TEST(ended->front().members.num_replica("policy") == 1);
}

BOOST_AUTO_TEST_CASE(at_the_end_nobody_waits_for_an_answer) {
  parts.syncs.pop_back();
  parts.config.runtime.num_episode = 1;
  start();
  auto done = order("policy", 2);
  go_on();
  BOOST_TEST((outcome().end == run_end::finished));
  BOOST_TEST(done.failure().message() == "the run has ended");
  BOOST_TEST(policy->changes.empty());
}

BOOST_AUTO_TEST_CASE(an_order_that_waits_for_a_disk_ends_with_the_run) {
  parts.syncs.pop_back();
  parts.config.runtime.save_episode_interval = 1;
  start();
  trainer->silent.insert("save");
  auto done = order("policy", 2);
  go_on();
  BOOST_TEST(!done.ready());
  tell(runner, engine::stop_run{});
  BOOST_TEST((outcome().end == run_end::interrupted));
  run_jobs();
  BOOST_TEST(done.ready());
}

BOOST_AUTO_TEST_CASE(there_is_a_bound_to_what_waits) {
  parts.syncs.pop_back();
  start();
  std::vector<test::answer<scaled>> all;
  for (auto i = 0; i < 17; ++i)
    all.push_back(order("policy", 1));
  BOOST_TEST((all.back().failure().code() == errc::exhausted));
  go_on();
  for (auto i = 0; i < 16; ++i)
    BOOST_TEST(all[static_cast<std::size_t>(i)].value().num_replica == 1);
}

BOOST_AUTO_TEST_SUITE_END()
