// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/engine.hpp"

#include <boost/test/unit_test.hpp>

#include <optional>

#include "support/actor_fixture.hpp"
#include "support/inproc_job.hpp"
#include "support/recorder.hpp"
#include "support/stub_model.hpp"
#include "troupe/actors/model/storage.hpp"
#include "troupe/actors/monitor/error_monitor.hpp"
#include "troupe/actors/monitor/error_signal.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using engine::run_end;
using engine::run_ended;
using engine::run_outcome;

namespace {

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
            std::shared_ptr<std::vector<std::string>> differences)
    : protocol::sync_group_actor::base(config),
      name_(std::move(name)),
      log_(std::move(log)),
      differences_(std::move(differences)) {
    // nop
  }

  const char* name() const override { return "stub_sync"; }

protected:
  behavior_type make_behavior() override {
    using namespace protocol;
    return {
      [this](const prepare_sync& x) {
        BOOST_TEST(x.source.items.size() == 1u);
        note("prepare");
        return sync_plan{};
      },
      [this](const run_sync& x) {
        note(x.validate ? "run and validate" : "run");
        return sync_report{{}, 8, 5, {}};
      },
      [this](const verify_sync&) {
        note("verify");
        return sync_report{{}, 8, 5, *differences_};
      },
      [](const check_sync&) {},
      [this](const close_sync&) {
        note("close");
        return ack{};
      },
    };
  }

private:
  void note(const std::string& what) { log_->push_back(name_ + ": " + what); }

  std::string name_;
  test::message_log log_;
  std::shared_ptr<std::vector<std::string>> differences_;
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

  lines phases;
  std::vector<engine::episode_result> episodes;
  lines notes;
};

struct fixture : test::actor_fixture {
  process::batch_store store{{}};
  test::message_log log = std::make_shared<lines>();
  std::shared_ptr<test::model_script> policy = script("policy");
  std::shared_ptr<test::model_script> trainer = script("trainer");
  std::shared_ptr<stub_data> data = std::make_shared<stub_data>();
  std::shared_ptr<lines> differences = std::make_shared<lines>();
  std::shared_ptr<std::vector<run_ended>>
    ended = std::make_shared<std::vector<run_ended>>();
  listener view;
  application app;
  engine::engine_parts parts;
  std::map<std::string, protocol::dist_model_actor> models;
  protocol::error_signal_actor errors = spawn<monitor::error_signal>();
  engine::engine_actor runner;

  fixture() {
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
                           spawn<stub_sync>(name, log, differences)});
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

} // namespace

BOOST_FIXTURE_TEST_SUITE(engine_engine, fixture)

BOOST_AUTO_TEST_CASE(a_run_sets_up_runs_its_episodes_and_closes) {
  sync("t2p", sync_schedule_kind::by_frequency, 1);
  const auto& got = run();
  BOOST_TEST((got.end == run_end::finished));
  BOOST_TEST(got.episodes == 2);
  BOOST_TEST(got.syncs.size() == 3u);
  BOOST_TEST((got.weights_identical == true));
  BOOST_TEST(*log
               == (lines{"policy: set up", "trainer: set up", "t2p: prepare",
                         "t2p: run", "policy: generate", "trainer: train",
                         "t2p: run", "policy: generate", "trainer: train",
                         "t2p: run", "t2p: verify", "t2p: close",
                         "policy: close", "trainer: close"}),
             boost::test_tools::per_element());
  BOOST_TEST(data->prompts == 2);
  BOOST_REQUIRE(view.episodes.size() == 2u);
  BOOST_TEST(view.episodes[1].episode == 2);
  BOOST_TEST(view.episodes[1].num_episode == 2);
  BOOST_TEST(view.episodes[1].sync.count() == 5);
}

BOOST_AUTO_TEST_CASE(no_episodes_are_a_run_too) {
  parts.config.runtime.num_episode = 0;
  BOOST_TEST((run().end == run_end::finished));
  BOOST_TEST(count("policy: generate") == 0);
}

BOOST_AUTO_TEST_CASE(a_sync_runs_every_so_many_episodes_or_never) {
  parts.config.runtime.num_episode = 5;
  sync("every", sync_schedule_kind::by_frequency, 1);
  sync("second", sync_schedule_kind::by_frequency, 2);
  sync("never", sync_schedule_kind::by_frequency, 0);
  sync("once", sync_schedule_kind::once, 1);
  run();
  BOOST_TEST(count("every: run") == 1 + 5);
  BOOST_TEST(count("second: run") == 1 + 2);
  BOOST_TEST(count("never: run") == 0);
  BOOST_TEST(count("once: run") == 1);
  // Only what is kept in step is compared at the end.
  BOOST_TEST(count("every: verify") == 1);
  BOOST_TEST(count("second: verify") == 1);
  BOOST_TEST(count("never: verify") == 0);
  BOOST_TEST(count("once: verify") == 0);
}

BOOST_AUTO_TEST_CASE(a_chain_of_syncs_runs_in_its_order) {
  parts.config.runtime.num_episode = 0;
  sync("b2c", sync_schedule_kind::by_frequency, 1, "policy", "reference");
  sync("a2b", sync_schedule_kind::by_frequency, 1);
  run();
  lines runs;
  for (const auto& x : *log)
    if (x.find(": run") != std::string::npos)
      runs.push_back(x);
  // As they were declared: whoever declares a chain backwards wants it so.
  BOOST_TEST(runs == (lines{"b2c: run", "a2b: run"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(every_nth_sync_is_validated) {
  parts.config.runtime.num_episode = 5;
  parts.config.runtime.validate_every = 3;
  sync("t2p", sync_schedule_kind::by_frequency, 1);
  run();
  BOOST_TEST(count("t2p: run and validate") == 2);
  BOOST_TEST(count("t2p: run") == 4);
}

BOOST_AUTO_TEST_CASE(weights_that_differ_at_the_end_are_told) {
  sync("t2p", sync_schedule_kind::by_frequency, 1);
  differences->push_back("tensor 'weight' differs at element 1");
  const auto& got = run();
  BOOST_TEST((got.end == run_end::finished));
  BOOST_TEST((got.weights_identical == false));
  BOOST_TEST(got.weight_differences == *differences,
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(without_syncs_nothing_is_said_about_weights) {
  BOOST_TEST((run().weights_identical == std::nullopt));
}

BOOST_AUTO_TEST_CASE(the_warm_start_stops_at_the_bar) {
  app.warm_start.training = one_call("trainer", &demo::warm);
  app.warm_start.rounds_option = "rounds";
  app.warm_start.rows_option = "rows";
  app.warm_start.accuracy_option = "bar";
  auto& options = parts.config.runtime.options;
  options.set("rounds", std::int64_t{10});
  options.set("rows", std::int64_t{8});
  options.set("bar", 0.5);
  sync("t2p", sync_schedule_kind::by_frequency, 1);
  sync("once", sync_schedule_kind::once, 1);
  evaluating({0.1, 0.4, 0.5, 0.45});
  const auto& got = run();
  BOOST_TEST(count("trainer: warm") == 3);
  BOOST_TEST(data->supervised == 3);
  BOOST_TEST(data->dev == 3);
  // Three rounds, once more after them, two episodes.
  BOOST_TEST(count("t2p: run") == 3 + 1 + 2);
  BOOST_TEST(count("once: run") == 1);
  BOOST_TEST((got.warm_start_accuracy == 0.45));
  BOOST_TEST((got.final_accuracy == 1.0));
  BOOST_TEST(got.evaluated == 4);
}

BOOST_AUTO_TEST_CASE(the_warm_start_gives_up_after_its_rounds_and_says_so) {
  app.warm_start.training = one_call("trainer", &demo::warm);
  app.warm_start.rounds_option = "rounds";
  app.warm_start.rows_option = "rows";
  app.warm_start.accuracy_option = "bar";
  auto& options = parts.config.runtime.options;
  options.set("rounds", std::int64_t{2});
  options.set("rows", std::int64_t{8});
  options.set("bar", 0.5);
  evaluating({0.1, 0.2, 0.3});
  BOOST_TEST((run().end == run_end::finished));
  BOOST_TEST(count("trainer: warm") == 2);
  BOOST_REQUIRE(!view.notes.empty());
  BOOST_TEST(view.notes[0].find("after 2 rounds") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(
  evaluations_run_by_interval_and_on_held_out_rows_at_the_end) {
  parts.config.runtime.num_episode = 5;
  parts.config.runtime.eval_episode_interval = 2;
  evaluating({0.1, 0.2, 0.3, 0.4});
  const auto& got = run();
  BOOST_TEST((got.warm_start_accuracy == 0.1));
  BOOST_TEST((got.final_accuracy == 0.4));
  BOOST_TEST(data->dev == 2);
  BOOST_TEST(data->tests == 2);
  BOOST_REQUIRE(view.episodes.size() == 5u);
  BOOST_TEST((view.episodes[0].accuracy == std::nullopt));
  BOOST_TEST((view.episodes[1].accuracy == 0.2));
  BOOST_TEST((view.episodes[3].accuracy == 0.3));
}

BOOST_AUTO_TEST_CASE(metrics_of_an_episode_reach_the_listener) {
  app.metrics.push_back({"reward", [](const batch& x) {
                           return static_cast<double>(x.rows().value());
                         }});
  app.metrics.push_back({"tokens", [](const batch&) { return 12.0; }});
  const auto& got = run();
  BOOST_REQUIRE(view.episodes.size() == 2u);
  BOOST_TEST(view.episodes[0].metrics.at("reward") == 3);
  BOOST_TEST(got.tokens == 24);
}

BOOST_AUTO_TEST_CASE(what_an_episode_stored_is_released_with_it) {
  data->supervised = 0;
  policy->on_invoke = [this](const protocol::invoke& x) {
    batch big;
    big.set("big", tensor{dtype::uint8, {3, 100'000}});
    protocol::invoked out;
    out.output.parts.push_back(store.put(big, x.scope).value());
    return out;
  };
  parts.config.runtime.num_episode = 6;
  BOOST_TEST((run().end == run_end::finished));
  BOOST_TEST(store.stats().buffers <= 1u);
  BOOST_TEST(store.stats().bytes_peak < 1'000'000u);
}

BOOST_AUTO_TEST_CASE(a_call_that_fails_ends_the_run_with_the_verdict) {
  policy->failures["generate"] = {errc::failed, "out of tea"};
  start();
  BOOST_TEST(ended->empty());
  protocol::error_report cause;
  cause.code = errc::failed;
  cause.model = "policy";
  cause.operation = "generate";
  cause.message = "out of tea";
  tell(errors, cause);
  BOOST_TEST(ended->empty());
  await_verdict();
  const auto& got = outcome();
  BOOST_TEST((got.end == run_end::failed));
  BOOST_TEST(got.verdict.root.operation == "generate");
  BOOST_TEST(got.verdict.root.message == "out of tea");
  BOOST_REQUIRE(got.verdict.consequences.size() == 1u);
  BOOST_TEST(got.verdict.consequences[0].operation == "engine");
  // Workers may be anywhere: nobody is asked to close.
  BOOST_TEST(count("policy: close") == 0);
  BOOST_TEST(count("trainer: train") == 0);
}

BOOST_AUTO_TEST_CASE(a_set_up_that_fails_ends_the_run) {
  trainer->failures["set up"] = {errc::exhausted, "no devices"};
  start();
  await_verdict();
  BOOST_TEST((outcome().end == run_end::failed));
  BOOST_TEST(outcome().verdict.root.message == "set-up: no devices");
  BOOST_TEST(count("policy: generate") == 0);
}

BOOST_AUTO_TEST_CASE(a_model_that_goes_down_ends_the_run) {
  policy->silent.insert("generate");
  start();
  kill(models["policy"]);
  await_verdict();
  BOOST_TEST((outcome().end == run_end::failed));
  BOOST_TEST((outcome().verdict.root.code == errc::lost));
}

BOOST_AUTO_TEST_CASE(a_model_that_does_not_answer_ends_the_run_in_time) {
  policy->silent.insert("generate");
  start();
  advance_time(parts.config.runtime.call_timeout);
  BOOST_TEST(ended->empty());
  advance_time(3s);
  await_verdict();
  BOOST_TEST((outcome().end == run_end::failed));
  BOOST_TEST((outcome().verdict.root.code == errc::timed_out));
}

BOOST_AUTO_TEST_CASE(a_plain_function_that_throws_ends_the_run) {
  app.metrics.push_back({"reward", [](const batch&) -> double {
                           throw std::runtime_error("no such tensor");
                         }});
  start();
  await_verdict();
  BOOST_TEST((outcome().end == run_end::failed));
  BOOST_TEST(outcome().verdict.root.message
             == "a plain function: no such tensor");
}

BOOST_AUTO_TEST_CASE(data_that_cannot_be_read_ends_the_run) {
  data->broken = true;
  start();
  await_verdict();
  BOOST_TEST((outcome().end == run_end::failed));
  BOOST_TEST(outcome().verdict.root.message.find("line 7 is no example")
             != std::string::npos);
}

BOOST_AUTO_TEST_CASE(an_error_that_the_engine_did_not_see_ends_the_run_too) {
  policy->silent.insert("generate");
  start();
  protocol::error_report gone;
  gone.code = errc::lost;
  gone.operation = "process";
  tell(errors, gone);
  await_verdict();
  BOOST_TEST((outcome().end == run_end::failed));
  BOOST_TEST(outcome().verdict.root.operation == "process");
}

BOOST_AUTO_TEST_CASE(a_run_that_is_stopped_ends_at_once_as_interrupted) {
  policy->held.insert("generate");
  start();
  BOOST_TEST(ended->empty());
  tell(runner, engine::stop_run{});
  BOOST_TEST((outcome().end == run_end::interrupted));
  BOOST_TEST(count("policy: close") == 0);
  // What comes late does no harm.
  policy->release();
  run_jobs();
  tell(runner, engine::stop_run{});
  BOOST_TEST(ended->size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_run_that_is_stopped_while_it_sets_up_is_interrupted) {
  trainer->silent.insert("set up");
  start();
  tell(runner, engine::stop_run{});
  BOOST_TEST((outcome().end == run_end::interrupted));
}

BOOST_AUTO_TEST_CASE(models_that_do_not_close_do_not_keep_the_run) {
  trainer->silent.insert("close");
  start();
  BOOST_TEST(ended->empty());
  advance_time(parts.config.runtime.shutdown_timeout + 3s);
  BOOST_TEST((outcome().end == run_end::finished));
}

BOOST_AUTO_TEST_CASE(a_flow_runs_its_nodes_as_soon_as_their_inputs_are_there) {
  flow x{app.models};
  auto a = x.call("policy", &demo::generate, x.input());
  auto b = x.call("trainer", &demo::answer, a);
  auto c = x.call("policy", &demo::answer, a);
  app.experience = std::move(x).finish(x.merge({b, c}));
  app.training = {};
  parts.config.runtime.num_episode = 1;
  policy->held.insert("answer");
  start();
  // Both follow from the first call and run side by side.
  BOOST_TEST(count("trainer: answer") == 1);
  BOOST_TEST(count("policy: answer") == 1);
  BOOST_TEST(ended->empty());
  policy->release();
  run_jobs();
  BOOST_TEST((outcome().end == run_end::finished));
}

BOOST_AUTO_TEST_SUITE_END()
