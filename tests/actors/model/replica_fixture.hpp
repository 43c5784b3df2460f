// SPDX-License-Identifier: Apache-2.0
#pragma once

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
#include "troupe/actors/model/replica.hpp"
#include "troupe/actors/monitor/error_signal.hpp"

namespace troupe::test {

/// What ranks do; all else is done at once.
struct stage {
  std::string held;
  /// Ranks that are in it.
  std::map<int, std::function<void(std::optional<error>)>> inside;
};

/// One rank of a replica, its mover too.
class stub_rank : public protocol::worker_actor::base {
public:
  stub_rank(caf::actor_config& config, int rank, std::shared_ptr<stage> all)
    : protocol::worker_actor::base(config),
      rank_(rank),
      stage_(std::move(all)) {
    // nop
  }

  const char* name() const override { return "stub_rank"; }

  void on_exit() override { stage_->inside.clear(); }

protected:
  behavior_type make_behavior() override {
    return {
      [this](const protocol::set_up&) {
        return act("set up", protocol::manifests{});
      },
      [this](const protocol::rejoin&) {
        return act("rejoin", protocol::manifests{});
      },
      [this](const protocol::open_groups& x) {
        protocol::group_addresses out;
        for (const auto& seat : x.items)
          out.items.push_back({seat.to, seat.group, seat.rank, {}});
        return act("open groups", std::move(out));
      },
      [this](const protocol::connect_groups&) {
        return act("connect groups", protocol::ack{});
      },
      [this](const protocol::close_groups&) {
        return act("close groups", protocol::ack{});
      },
      [this](const protocol::invoke& x) {
        return act(x.function, protocol::invoked{});
      },
      [this](const protocol::get_parameters&) {
        return act("set up", protocol::manifests{});
      },
      [this](const protocol::install_programs&) {
        return act("prepare sync", protocol::ack{});
      },
      [this](const protocol::sync_order& x) {
        protocol::sync_standing own;
        own.from = x.items.front().to;
        protocol::sync_standings out;
        out.items.push_back(std::move(own));
        return act(x.action == protocol::sync_action::open ? "on_sync" : "sync",
                   std::move(out));
      },
      [this](const protocol::transfer&) {
        return act("weight sync", protocol::transfer_reports{});
      },
      [this](const protocol::get_operations&) {
        return act("look", protocol::operations{});
      },
      [this](const protocol::run_checkpoint& x) {
        return act(x.load ? "load checkpoint" : "save checkpoint",
                   protocol::ack{});
      },
      [this](const protocol::close_model&) {
        return act("close", protocol::ack{});
      },
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
class stub_host : public protocol::host_actor::base {
public:
  stub_host(caf::actor_config& config,
            std::vector<protocol::worker_actor> ranks)
    : protocol::host_actor::base(config),
      ranks_(std::move(ranks)) {
    // nop
  }

  const char* name() const override { return "stub_host"; }

  void on_exit() override { ranks_.clear(); }

protected:
  behavior_type make_behavior() override {
    return {
      [](const protocol::bundle&) { return protocol::bundle_answers{}; },
      [](const protocol::get_rest&) { return protocol::bundle_answers{}; },
      [this](const protocol::start_worker& x) {
        protocol::started_worker out;
        out.worker = ranks_.at(
          static_cast<std::size_t>(x.spec.name.rank.value()));
        out.mover = out.worker;
        return out;
      },
      [](const protocol::abort_groups&) { return protocol::ack{}; },
      [](const protocol::release_batches&) {},
      [](protocol::get_host_status) { return protocol::host_status{}; },
      [](protocol::check_groups) {},
      [](protocol::shut_down) { return protocol::ack{}; },
    };
  }

private:
  std::vector<protocol::worker_actor> ranks_;
};

/// Each device is a process of its own, as far as it says.
class stub_machine : public protocol::node_actor::base {
public:
  stub_machine(caf::actor_config& config, protocol::host_actor host)
    : protocol::node_actor::base(config),
      host_(std::move(host)) {
    // nop
  }

  const char* name() const override { return "stub_machine"; }

  void on_exit() override { host_ = protocol::host_actor{}; }

protected:
  behavior_type make_behavior() override {
    return {
      [](const protocol::bundle&) { return protocol::bundle_answers{}; },
      [](const protocol::get_rest&) { return protocol::bundle_answers{}; },
      [](const protocol::host_hello&) { return protocol::host_welcome{}; },
      [](const protocol::make_replica&) -> caf::result<protocol::made_replica> {
        return protocol::to_caf({errc::exhausted, "a stub makes no replicas"});
      },
      [this](const protocol::acquire_host& x) {
        return protocol::acquired_host{{node_id{0}, x.device, incarnation{1}},
                                       host_};
      },
      [](const protocol::worker_placed&) {},
      [](const protocol::worker_removed&) {},
      [](const protocol::host_exited&) {},
      [](const protocol::abort_groups&) { return protocol::ack{}; },
      [](const protocol::release_batches&) {},
      [](protocol::get_node_status) { return protocol::node_status{}; },
      [](const protocol::end_hosts&) { return protocol::ack{}; },
      [](const protocol::close_node&) { return protocol::ack{}; },
    };
  }

private:
  protocol::host_actor host_;
};

/// A replica of three ranks.
struct replica_fixture : actor_fixture {
  static constexpr int num_rank = 3;
  static constexpr std::uint32_t timeout_ms = 60'000;

  std::shared_ptr<stage> ranks = std::make_shared<stage>();
  protocol::error_signal_actor errors = spawn<monitor::error_signal>();
  protocol::dist_model_actor owner = spawn<stub_model>(
    std::make_shared<model_script>());
  protocol::replica_actor trainer;
  /// What the ranks are asked for a "weight sync".
  protocol::transfer moving;

  replica_fixture() {
    moving.program = "t2p";
    moving.links = 1;
    moving.timeout_ms = timeout_ms;
    for (auto rank = 0; rank < num_rank; ++rank)
      moving.items.push_back({name_of(rank)});
    protocol::replica_spec spec;
    spec.model = "trainer";
    spec.data = num_rank;
    std::vector<protocol::worker_actor> workers;
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
      ask_and_run<protocol::manifests>(trainer, protocol::set_up{timeout_ms})
        .value();
    ranks->held = operation;
    if (first) {
      static_cast<void>(
        ask_and_run<protocol::manifests>(trainer,
                                         protocol::set_up{timeout_ms}));
    } else if (operation.ends_with(" checkpoint")) {
      protocol::run_checkpoint request{operation.starts_with("load"), "nowhere",
                                       timeout_ms};
      static_cast<void>(ask_and_run<protocol::ack>(trainer, request));
    } else if (operation == "on_sync") {
      protocol::sync_order request;
      request.sync = request.program = "t2p";
      request.action = protocol::sync_action::open;
      request.timeout_ms = timeout_ms;
      for (auto rank = 0; rank < num_rank; ++rank)
        request.items.push_back({name_of(rank)});
      static_cast<void>(
        ask_and_run<protocol::sync_standings>(trainer, request));
    } else if (operation == "weight sync") {
      static_cast<void>(
        ask_and_run<protocol::transfer_reports>(trainer, moving));
    } else {
      protocol::invoke request;
      request.function = operation;
      request.timeout_ms = timeout_ms;
      static_cast<void>(ask_and_run<protocol::invoked>(trainer, request));
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

  std::vector<protocol::error_report> reported() {
    return ask_and_run<protocol::error_history>(errors, protocol::get_errors{})
      .value()
      .items;
  }

  static protocol::worker_name name_of(int rank) {
    return {"trainer", replica_id{0}, rank_id{rank}};
  }
};

} // namespace troupe::test
