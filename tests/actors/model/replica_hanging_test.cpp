// SPDX-License-Identifier: Apache-2.0
// Who hangs says nothing: those who waited for it tell of it. The test plays the
// ranks.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "support/actor_fixture.hpp"
#include "support/stub_model.hpp"
#include "troupe/actors/call/reply.hpp"
#include "troupe/actors/model/late_answer.hpp"
#include "troupe/actors/model/replica.hpp"
#include "troupe/actors/monitor/error_signal.hpp"
#include "troupe/actors/monitor/root_cause.hpp"

using namespace troupe;
using namespace troupe::protocol;
using namespace std::chrono_literals;

namespace {

constexpr int num_rank = 3;
constexpr std::uint32_t timeout_ms = 60'000;

/// A little more than a replica waits for those who give up later.
constexpr auto moment = 401ms;

/// What ranks do; all else is done at once.
struct stage {
  std::string held;
  /// Ranks that are in it.
  std::map<int, std::function<void(std::optional<error>)>> inside;
};

class stub_rank : public worker_actor::base {
public:
  stub_rank(caf::actor_config& config, int rank, std::shared_ptr<stage> all)
    : worker_actor::base(config),
      rank_(rank),
      stage_(std::move(all)) {
    // nop
  }

  const char* name() const override { return "stub_rank"; }

  void on_exit() override { stage_->inside.clear(); }

protected:
  behavior_type make_behavior() override {
    return {
      [this](const set_up&) { return act("set up", manifests{}); },
      [this](const rejoin&) { return act("rejoin", manifests{}); },
      [this](const open_groups& x) {
        group_addresses out;
        for (const auto& seat : x.items)
          out.items.push_back({seat.to, seat.group, seat.rank, {}});
        return act("open groups", std::move(out));
      },
      [this](const connect_groups&) { return act("connect groups", ack{}); },
      [this](const close_groups&) { return act("close groups", ack{}); },
      [this](const invoke& x) { return act(x.function, invoked{}); },
      [this](const get_parameters&) { return act("set up", manifests{}); },
      [this](const install_programs&) { return act("prepare sync", ack{}); },
      [this](const sync_order& x) {
        sync_standing own;
        own.from = x.items.front().to;
        sync_standings out;
        out.items.push_back(std::move(own));
        return act(x.action == sync_action::open ? "on_sync" : "sync",
                   std::move(out));
      },
      [this](const transfer&) {
        return act("weight sync", transfer_reports{});
      },
      [this](const get_operations&) { return act("look", operations{}); },
      [this](const run_checkpoint& x) {
        return act(x.load ? "load checkpoint" : "save checkpoint", ack{});
      },
      [this](const close_model&) { return act("close", ack{}); },
    };
  }

private:
  template <class T>
  caf::typed_response_promise<T> act(const std::string& operation, T value) {
    call::reply<T> out{make_response_promise<T>()};
    auto promise = out.promise();
    if (operation == stage_->held)
      stage_->inside[rank_] = [out, value](const std::optional<error>& why) {
        if (why)
          out.deliver(fail(*why));
        else
          out.deliver(value);
      };
    else
      out.deliver(std::move(value));
    return promise;
  }

  int rank_;
  std::shared_ptr<stage> stage_;
};

/// Has all the ranks.
class stub_host : public host_actor::base {
public:
  stub_host(caf::actor_config& config, std::vector<worker_actor> ranks)
    : host_actor::base(config),
      ranks_(std::move(ranks)) {
    // nop
  }

  const char* name() const override { return "stub_host"; }

  void on_exit() override { ranks_.clear(); }

protected:
  behavior_type make_behavior() override {
    return {
      [](const bundle&) { return bundle_answers{}; },
      [](const get_rest&) { return bundle_answers{}; },
      [this](const start_worker& x) {
        started_worker out;
        out.worker = ranks_.at(
          static_cast<std::size_t>(x.spec.name.rank.value()));
        return out;
      },
      [](const abort_groups&) { return ack{}; },
      [](const release_batches&) {},
      [](get_host_status) { return host_status{}; },
      [](check_groups) {},
      [](shut_down) { return ack{}; },
    };
  }

private:
  std::vector<worker_actor> ranks_;
};

/// Each device is a process of its own, as far as it says.
class stub_machine : public node_actor::base {
public:
  stub_machine(caf::actor_config& config, host_actor host)
    : node_actor::base(config),
      host_(std::move(host)) {
    // nop
  }

  const char* name() const override { return "stub_machine"; }

  void on_exit() override { host_ = host_actor{}; }

protected:
  behavior_type make_behavior() override {
    return {
      [](const bundle&) { return bundle_answers{}; },
      [](const get_rest&) { return bundle_answers{}; },
      [](const host_hello&) { return host_welcome{}; },
      [](const make_replica&) -> caf::result<made_replica> {
        return to_caf({errc::exhausted, "a stub makes no replicas"});
      },
      [this](const acquire_host& x) {
        return acquired_host{{node_id{0}, x.device, incarnation{1}}, host_};
      },
      [](const worker_placed&) {},
      [](const worker_removed&) {},
      [](const host_exited&) {},
      [](const abort_groups&) { return ack{}; },
      [](const release_batches&) {},
      [](get_node_status) { return node_status{}; },
      [](const end_hosts&) { return ack{}; },
      [](const close_node&) { return ack{}; },
    };
  }

private:
  host_actor host_;
};

error in_vain() {
  return given_up(
    {errc::timed_out, "barrier: waited in vain for the other ranks"});
}

/// A replica of three ranks.
struct fixture : test::actor_fixture {
  std::shared_ptr<stage> ranks = std::make_shared<stage>();
  error_signal_actor errors = spawn<monitor::error_signal>();
  dist_model_actor owner = spawn<test::stub_model>(
    std::make_shared<test::model_script>());
  replica_actor trainer;

  fixture() {
    replica_spec spec;
    spec.model = "trainer";
    spec.data = num_rank;
    std::vector<worker_actor> workers;
    for (auto rank = 0; rank < num_rank; ++rank) {
      workers.push_back(spawn<stub_rank>(rank, ranks));
      spec.ranks.push_back({node_id{0}, rank});
    }
    model::replica_surroundings around;
    around.here = node_id{0};
    around.node = spawn<stub_machine>(spawn<stub_host>(std::move(workers)));
    around.errors = errors;
    trainer = spawn<model::replica>(std::move(spec), std::move(around), owner);
  }

  /// Asks for what makes ranks do `operation`, in which they stay until the test
  /// lets them out.
  void begin(const std::string& operation) {
    auto first = operation == "set up" || operation == "connect groups";
    if (!first)
      ask_and_run<manifests>(trainer, set_up{timeout_ms}).value();
    ranks->held = operation;
    if (first) {
      static_cast<void>(ask_and_run<manifests>(trainer, set_up{timeout_ms}));
    } else if (operation.ends_with(" checkpoint")) {
      run_checkpoint request{operation.starts_with("load"), "nowhere",
                             timeout_ms};
      static_cast<void>(ask_and_run<ack>(trainer, request));
    } else if (operation == "on_sync") {
      sync_order request;
      request.sync = request.program = "t2p";
      request.action = sync_action::open;
      request.timeout_ms = timeout_ms;
      for (auto rank = 0; rank < num_rank; ++rank)
        request.items.push_back({name_of(rank)});
      static_cast<void>(ask_and_run<sync_standings>(trainer, request));
    } else {
      protocol::invoke request;
      request.function = operation;
      request.timeout_ms = timeout_ms;
      static_cast<void>(ask_and_run<invoked>(trainer, request));
    }
    BOOST_REQUIRE(ranks->inside.size() == std::size_t{num_rank});
  }

  /// Lets a rank out, with what it has failed of.
  void let_out(int rank, const std::optional<error>& why = std::nullopt) {
    auto answer = std::move(ranks->inside.at(rank));
    ranks->inside.erase(rank);
    answer(why);
    run_jobs();
  }

  std::vector<error_report> reported() {
    return ask_and_run<error_history>(errors, get_errors{}).value().items;
  }

  static worker_name name_of(int rank) {
    return {"trainer", replica_id{0}, rank_id{rank}};
  }
};

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
