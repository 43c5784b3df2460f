// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "support/actor_fixture.hpp"
#include "support/inproc_job.hpp"
#include "support/recorder.hpp"
#include "support/scratch.hpp"
#include "support/stub_model.hpp"
#include "troupe/actors/engine/engine.hpp"
#include "troupe/actors/model/storage.hpp"
#include "troupe/actors/monitor/error_monitor.hpp"
#include "troupe/actors/monitor/error_signal.hpp"

// An engine among stubs, for its tests.
namespace troupe::engine_test {

using engine::run_end;
using engine::run_ended;
using engine::run_outcome;

using lines = std::vector<std::string>;

/// What the flows below call; the stub models answer in its place.
class demo : public module {
public:
  batch warm(const batch& in) { return in; }
  batch generate(const batch& in) { return in; }
  batch train(const batch& in) { return in; }
  batch answer(const batch& in) { return in; }
};

/// A sync group that has nothing to move.
class stub_sync : public protocol::sync_group_actor::base {
public:
  stub_sync(caf::actor_config& config, std::string name, test::message_log log,
            std::shared_ptr<std::vector<std::string>> differences,
            std::shared_ptr<std::vector<std::string>> warnings)
    : protocol::sync_group_actor::base(config),
      name_(std::move(name)),
      log_(std::move(log)),
      differences_(std::move(differences)),
      warnings_(std::move(warnings)) {
    // nop
  }

  const char* name() const override { return "stub_sync"; }

protected:
  behavior_type make_behavior() override {
    return {
      [this](const protocol::prepare_sync& x) {
        BOOST_TEST(x.source.items.size() == 1u);
        note("prepare");
        protocol::sync_plan out;
        out.warnings = *warnings_;
        return out;
      },
      [this](const protocol::run_sync& x) {
        note(x.validate ? "run and validate" : "run");
        return protocol::sync_report{{}, 8, 5, {}};
      },
      [this](const protocol::verify_sync&) {
        note("verify");
        return protocol::sync_report{{}, 8, 5, *differences_};
      },
      [](const protocol::check_sync&) {},
      [this](const protocol::close_sync&) {
        note("close");
        return protocol::ack{};
      },
    };
  }

private:
  void note(const std::string& what) { log_->push_back(name_ + ": " + what); }

  std::string name_;
  test::message_log log_;
  std::shared_ptr<std::vector<std::string>> differences_;
  std::shared_ptr<std::vector<std::string>> warnings_;
};

class stub_data : public data_source {
public:
  batch draw(data_stream stream, std::int64_t rows) override {
    if (broken)
      throw std::runtime_error("line 7 is no example");
    ++(stream == data_stream::prompts ? prompts : supervised);
    return test::numbered(rows);
  }

  batch all(data_stream stream) override {
    ++(stream == data_stream::dev ? dev : tests);
    return test::numbered(4);
  }

  batch position() const override {
    batch out;
    out.set_meta("prompts", std::int64_t{prompts});
    return out;
  }

  void seek(const batch& x) override {
    prompts = static_cast<int>(x.meta_number("prompts"));
  }

  bool broken = false;
  int prompts = 0;
  int supervised = 0;
  int dev = 0;
  int tests = 0;
};

class listener final : public engine::run_listener {
public:
  void on_phase(std::string_view name, std::int64_t, std::int64_t) override {
    phases.emplace_back(name);
  }

  void on_episode(const engine::episode_result& x) override {
    episodes.push_back(x);
  }

  void on_note(std::string_view text) override { notes.emplace_back(text); }

  void on_restart(const engine::restart_notice&) override {
    notes.emplace_back("restart");
  }

  void on_error(const protocol::error_report& x) override {
    errors.push_back(x.message);
  }

  lines phases;
  std::vector<engine::episode_result> episodes;
  lines notes;
  lines errors;
};

struct engine_fixture : test::actor_fixture {
  process::batch_store store{{}};
  test::message_log log = std::make_shared<lines>();
  std::shared_ptr<test::model_script> policy = script("policy");
  std::shared_ptr<test::model_script> trainer = script("trainer");
  std::shared_ptr<stub_data> data = std::make_shared<stub_data>();
  std::shared_ptr<lines> differences = std::make_shared<lines>();
  /// Of every sync that is prepared.
  std::shared_ptr<lines> warnings = std::make_shared<lines>();
  std::shared_ptr<std::vector<run_ended>>
    ended = std::make_shared<std::vector<run_ended>>();
  listener view;
  test::scratch scratch;
  checkpoint::checkpoint_folder checkpoints{scratch.path() / "saved"};
  application app;
  engine::engine_parts parts;
  std::map<std::string, protocol::dist_model_actor> models;
  protocol::error_signal_actor errors = spawn<monitor::error_signal>();
  engine::engine_actor runner;

  engine_fixture() {
    for (auto* name : {"policy", "trainer"}) {
      auto& x = app.models.add(name, [] { return std::make_unique<demo>(); });
      x.add_function<demo>("warm", &demo::warm);
      x.add_function<demo>("generate", &demo::generate);
      x.add_function<demo>("train", &demo::train);
      x.add_function<demo>("answer", &demo::answer);
    }
    app.experience = one_call("policy", &demo::generate);
    app.training = one_call("trainer", &demo::train);
    models = {{"policy", spawn<test::stub_model>(policy)},
              {"trainer", spawn<test::stub_model>(trainer)}};
    parts.app = &app;
    parts.models = models;
    parts.data = data;
    parts.listener = &view;
    parts.errors = errors;
    parts.storage = spawn<model::storage>(std::vector<protocol::node_actor>{},
                                          &store);
    parts.applier = spawn<engine::applier>(&store);
    parts.keeper = spawn<engine::checkpoint_keeper>(checkpoints,
                                                    std::size_t{2});
    parts.owner = spawn<test::recorder<run_ended>>(ended);
    parts.config.runtime.num_episode = 2;
    parts.config.runtime.sample_per_episode = 3;
  }

  flow_graph one_call(const std::string& model,
                      batch (demo::*function)(const batch&)) {
    flow x{app.models};
    x.call(model, function, x.input());
    return std::move(x).finish();
  }

  std::shared_ptr<test::model_script> script(std::string name) {
    auto out = std::make_shared<test::model_script>();
    out->name = name;
    out->log = log;
    protocol::worker_manifest one;
    one.worker = {std::move(name), replica_id{0}, rank_id{0}};
    out->manifests.items.push_back(std::move(one));
    return out;
  }

  void sync(const std::string& name, sync_schedule_kind kind,
            std::int32_t frequency, const std::string& source = "trainer",
            const std::string& destination = "policy") {
    parts.syncs.push_back({name, source, destination, kind, frequency,
                           spawn<stub_sync>(name, log, differences, warnings)});
  }

  /// Evaluations give these accuracies, in this order, and then 1.
  void evaluating(std::vector<double> accuracies) {
    app.evaluation = one_call("policy", &demo::answer);
    auto left = std::make_shared<std::vector<double>>(std::move(accuracies));
    app.accuracy = [left](const batch&) {
      if (left->empty())
        return 1.0;
      auto x = left->front();
      left->erase(left->begin());
      return x;
    };
  }

  /// As long as the error_monitor waits at most. In steps, because it sets its
  /// timer again.
  void await_verdict() {
    using watcher = monitor::error_monitor;
    for (auto i = 0; i <= watcher::more_graces; ++i)
      advance_time(watcher::grace);
  }

  /// Makes the engine and the actors that tell it of errors, and starts it.
  void start() {
    runner = spawn<engine::engine>(parts);
    protocol::error_monitor_actor watcher = spawn<monitor::error_monitor>(
      std::vector<protocol::node_actor>{});
    ask_and_run<protocol::ack>(errors, protocol::subscribe_errors{watcher})
      .value();
    ask_and_run<protocol::ack>(watcher, protocol::subscribe_verdict{runner})
      .value();
    tell(runner, engine::start_run{});
  }

  const run_outcome& outcome() const {
    BOOST_REQUIRE_MESSAGE(ended->size() == 1,
                          "the run ended " << ended->size() << " times");
    return ended->front().outcome;
  }

  const run_outcome& run() {
    start();
    return outcome();
  }

  std::int64_t count(const std::string& line) const {
    return std::count(log->begin(), log->end(), line);
  }
};

} // namespace troupe::engine_test
