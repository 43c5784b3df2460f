// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "support/actor_fixture.hpp"
#include "support/stub_model.hpp"
#include "troupe/actors/sync/sync_group.hpp"

namespace troupe::test {

using protocol::ack;
using protocol::prepare_sync;
using protocol::run_sync;
using protocol::sync_plan;
using protocol::sync_report;
using protocol::verify_sync;
using lines = std::vector<std::string>;

/// A sync_group between two models that do what their scripts say.
struct sync_group_fixture : actor_fixture {
  message_log log = std::make_shared<lines>();
  std::shared_ptr<model_script> trainer = script("trainer", 1);
  std::shared_ptr<model_script> policy = script("policy", 2);
  protocol::dist_model_actor source = spawn<stub_model>(trainer);
  protocol::dist_model_actor destination = spawn<stub_model>(policy);
  protocol::sync_group_actor group = spawn<sync::sync_group>("t2p", source,
                                                             destination);
  protocol::sync_options options;

  sync_group_fixture() {
    trainer->sends = true;
    trainer->peers = [](const auto&) {
      return std::vector<rank_id>{rank_id{0}, rank_id{1}};
    };
    options.warm_up = false;
  }

  /// `replicas` replicas of one rank with two float32.
  std::shared_ptr<model_script> script(const std::string& name, int replicas) {
    auto out = std::make_shared<model_script>();
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

  answer<sync_plan> prepare() {
    return ask_and_run<sync_plan>(group, prepare_sync{trainer->manifests,
                                                      policy->manifests,
                                                      options, 1000});
  }

  void prepared(const std::string& mode = "staged") {
    options.mode = mode;
    prepare().value();
    log->clear();
  }

  answer<sync_report> run(bool validate = false) {
    return ask_and_run<sync_report>(group, run_sync{validate, false, 1000});
  }

  answer<sync_report> verify() {
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
  void failed_in(const answer<sync_report>& got, errc code,
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

} // namespace troupe::test
