// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/engine.hpp"

#include <optional>

#include <boost/test/unit_test.hpp>

#include "actors/engine/engine_fixture.hpp"
#include "troupe/actors/engine/error_follower.hpp"

using namespace troupe;
using namespace troupe::engine_test;
using namespace std::chrono_literals;

BOOST_FIXTURE_TEST_SUITE(engine_engine, engine_fixture)

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
  lines timed;
  for (const auto& [step, spent] : view.episodes[0].times)
    timed.push_back(step);
  BOOST_TEST(timed == (lines{"policy.generate", "trainer.train"}),
             boost::test_tools::per_element());
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

BOOST_AUTO_TEST_CASE(a_plain_function_may_throw_anything) {
  app.metrics.push_back({"reward", [](const batch&) -> double { throw 42; }});
  start();
  await_verdict();
  BOOST_TEST((outcome().end == run_end::failed));
  BOOST_TEST(outcome().verdict.root.message.ends_with(
               "it threw something that is no std::exception"),
             outcome().verdict.root.message);
}

BOOST_AUTO_TEST_CASE(a_plain_function_that_throws_ends_the_run) {
  app.metrics.push_back({"reward", [](const batch&) -> double {
                           throw std::runtime_error("no such tensor");
                         }});
  start();
  await_verdict();
  BOOST_TEST((outcome().end == run_end::failed));
  BOOST_TEST(outcome().verdict.root.message
             == "metric: reward: no such tensor");
}

BOOST_AUTO_TEST_CASE(a_plain_function_that_misses_a_tensor_says_which) {
  app.metrics.push_back({"reward", [](const batch& x) -> double {
                           static_cast<void>(x.get("nothing").value());
                           return 0;
                         }});
  start();
  await_verdict();
  BOOST_TEST((outcome().verdict.root.code == errc::invalid));
  BOOST_TEST(outcome().verdict.root.message.starts_with(
    "metric: reward: batch has no tensor 'nothing'; it has: "));
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

BOOST_AUTO_TEST_CASE(every_recorded_error_reaches_the_listener) {
  protocol::error_report x;
  x.message = "before";
  caf::anon_send(parts.errors, x);
  auto follower = spawn<engine::error_follower>(
    [this](const auto& report) { view.on_error(report); });
  caf::anon_send(parts.errors, protocol::subscribe_errors{follower});
  x.message = "after";
  caf::anon_send(parts.errors, x);
  run_jobs();
  BOOST_TEST(view.errors == (lines{"before", "after"}),
             boost::test_tools::per_element());
}

// Each attempt prepares them anew.
BOOST_AUTO_TEST_CASE(what_a_sync_leaves_behind_is_told_once_a_run) {
  sync("t2p", sync_schedule_kind::by_frequency, 1);
  *warnings = {"2 of 40 tensors of trainer go nowhere"};
  for (auto attempt : {1, 2}) {
    ended->clear();
    BOOST_TEST((run().end == run_end::finished));
    BOOST_TEST(count("t2p: prepare") == attempt);
  }
  auto told = ask_and_run<protocol::error_history>(errors,
                                                   protocol::get_errors{})
                .value();
  BOOST_REQUIRE(told.items.size() == 1u);
  BOOST_TEST(told.items[0].operation == "sync t2p");
}

BOOST_AUTO_TEST_SUITE_END()
