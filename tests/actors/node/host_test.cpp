// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/node/host.hpp"

#include <boost/test/unit_test.hpp>
#include <caf/event_based_actor.hpp>

#include "support/actor_fixture.hpp"
#include "support/idle_group.hpp"
#include "support/inproc_job.hpp"
#include "support/stub_device.hpp"
#include "troupe/actors/protocol/rendezvous.hpp"

using namespace troupe;
using namespace troupe::protocol;
using namespace std::chrono_literals;

namespace {

/// Has a worker started, as a replica does.
class starter final : public caf::event_based_actor {
public:
  starter(caf::actor_config& config, host_actor host, start_worker request)
    : caf::event_based_actor(config),
      host_(std::move(host)),
      request_(std::move(request)) {
    // nop
  }

protected:
  caf::behavior make_behavior() override {
    send(host_, request_);
    return {[](const started_worker&) {}};
  }

private:
  host_actor host_;
  start_worker request_;
};

struct fixture : test::actor_fixture {
  std::shared_ptr<test::module_notes>
    notes = std::make_shared<test::module_notes>();
  module_registry models;
  process::batch_store store{{}};
  comm::inproc::hub hub;
  int closed = 0;
  host_actor host;

  explicit fixture(comm::device_ptr device = {}) {
    test::declare(models, "policy", notes);
    model::host_services services{{node_id{0}, 3, incarnation{1}},
                                  &models,
                                  &store,
                                  &hub};
    services.device = std::move(device);
    host = spawn<node::host>(services, node::worker_threads::shared,
                             [this] { ++closed; });
  }

  test::answer<started_worker> start(const std::string& model, int rank = 0) {
    start_worker x;
    x.spec.name = {model, replica_id{0}, rank_id{rank}};
    x.spec.config = test::job_of(model, 1, 1).config;
    return ask_and_run<started_worker>(host, x);
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(node_host, fixture)

BOOST_AUTO_TEST_CASE(a_worker_is_started_and_serves) {
  auto worker = start("policy").value().worker;
  auto made = ask_and_run<manifests>(worker, set_up{1000});
  BOOST_REQUIRE(made.value().items.size() == 1u);
  BOOST_TEST(made.value().items[0].host.slot == 3);
}

BOOST_AUTO_TEST_CASE(a_model_that_the_program_lacks_is_refused) {
  auto got = start("reward");
  BOOST_TEST((got.failure().code() == errc::invalid));
  BOOST_TEST(got.failure().message().find("'reward'") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_worker_that_lives_here_already_is_refused) {
  start("policy", 0).value();
  start("policy", 1).value();
  auto got = start("policy", 1);
  BOOST_TEST((got.failure().code() == errc::invalid));
  BOOST_TEST(got.failure().message().find("policy/0/1") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_worker_does_not_outlive_whoever_started_it) {
  auto begin = [&] {
    start_worker x;
    x.spec.name = {"policy", replica_id{0}, rank_id{0}};
    x.spec.config = test::job_of("policy", 1, 1).config;
    auto out = system().spawn<starter>(host, x);
    run_jobs();
    return out;
  };
  auto workers = [&] {
    return ask_and_run<host_status>(host, get_host_status{})
      .value()
      .workers.size();
  };
  auto first = begin();
  BOOST_TEST(workers() == 1u);
  // As a replica is, whose model could not be set up.
  kill(first);
  BOOST_TEST(workers() == 0u);
  // The next one of the name has its own.
  auto second = begin();
  BOOST_TEST(workers() == 1u);
  kill(second);
}

BOOST_AUTO_TEST_CASE(the_status_says_what_every_worker_does) {
  auto worker = start("policy", 0).value().worker;
  start("policy", 1).value();
  ask_and_run<manifests>(worker, set_up{1000}).value();
  auto got = ask_and_run<host_status>(host, get_host_status{}).value();
  BOOST_TEST(got.host.slot == 3);
  BOOST_REQUIRE(got.workers.size() == 2u);
  BOOST_TEST(got.workers[0].operation == "idle");
  BOOST_TEST(got.workers[1].operation == "starting");
  BOOST_TEST(got.resident_bytes > 0u);
}

BOOST_AUTO_TEST_CASE(an_abort_ends_every_group_of_every_worker) {
  auto worker = start("policy").value().worker;
  auto seat = [&](const std::string& group) {
    open_groups x;
    x.timeout_ms = 1000;
    x.items.push_back({{"policy", replica_id{0}, rank_id{0}},
                       group,
                       "inproc",
                       seat_kind::member,
                       rank_id{0},
                       2});
    return ask_and_run<group_addresses>(worker, x);
  };
  BOOST_TEST(seat("first").value().items.size() == 1u);
  ask_and_run<ack>(host, abort_groups{"tea"}).value();
  // A worker that has been aborted opens no groups.
  BOOST_TEST((seat("second").failure().code() == errc::aborted));
}

BOOST_AUTO_TEST_CASE(groups_of_a_device_are_looked_after) {
  auto group = std::make_shared<test::idle_group>();
  auto device = std::make_shared<test::stub_device>(0);
  device->endpoint = std::make_shared<test::idle_endpoint>(group);
  fixture run{device};
  auto worker = run.start("policy").value().worker;
  open_groups seats;
  seats.items.push_back({{"policy", replica_id{0}, rank_id{0}},
                         "world",
                         "gloo",
                         seat_kind::member,
                         rank_id{0},
                         1});
  seats.timeout_ms = 1000;
  auto met = run.ask_and_run<group_addresses>(worker, seats).value();
  run.ask_and_run<ack>(worker, introduce(seats, met)).value();
  run.advance_time(1s);
  auto looks = group->looks;
  BOOST_TEST(looks > 0);
  group->broken = true;
  run.advance_time(1s);
  BOOST_TEST(!group->lives);
  // The dead are left alone.
  looks = group->looks;
  run.advance_time(1s);
  BOOST_TEST(group->looks == looks);
}

BOOST_AUTO_TEST_CASE(a_release_frees_the_batches_of_old_scopes) {
  batch x;
  x.set("x", tensor{dtype::uint8, {1, 100'000}});
  static_cast<void>(store.put(x, 1).value());
  static_cast<void>(store.put(x, 2).value());
  tell(host, release_batches{1});
  BOOST_TEST(store.stats().buffers == 1u);
}

BOOST_AUTO_TEST_CASE(shutting_down_closes_the_workers_then_the_host) {
  auto worker = start("policy").value().worker;
  ask_and_run<manifests>(worker, set_up{1000}).value();
  BOOST_TEST(closed == 0);
  ask_and_run<ack>(host, shut_down{}).value();
  BOOST_TEST(closed == 1);
  BOOST_TEST(!ask_and_run<manifests>(worker, set_up{1000}).get());
  BOOST_TEST(!start("policy", 1).get());
}

BOOST_AUTO_TEST_CASE(shutting_down_an_empty_host_works) {
  ask_and_run<ack>(host, shut_down{}).value();
  BOOST_TEST(closed == 1);
}

BOOST_AUTO_TEST_CASE(the_host_survives_a_module_that_throws) {
  auto worker = start("policy").value().worker;
  notes->before = [](const std::string&) { throw 42; };
  BOOST_TEST(!ask_and_run<manifests>(worker, set_up{1000}).get());
  auto got = ask_and_run<host_status>(host, get_host_status{});
  BOOST_TEST(got.value().workers.size() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
