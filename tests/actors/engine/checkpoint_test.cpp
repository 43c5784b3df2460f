// SPDX-License-Identifier: Apache-2.0
// How the engine saves a run and goes on with it.
#include <boost/test/unit_test.hpp>

#include "actors/engine/engine_fixture.hpp"
#include "troupe/actors/checkpoint/batch_file.hpp"
#include "troupe/actors/engine/model_shapes.hpp"

using namespace troupe;
using namespace troupe::engine_test;

BOOST_FIXTURE_TEST_SUITE(engine_checkpoint, engine_fixture)

BOOST_AUTO_TEST_CASE(
  a_checkpoint_is_saved_after_the_warm_start_and_at_the_end) {
  sync("t2p", sync_schedule_kind::by_frequency, 1);
  parts.config.runtime.num_episode = 3;
  parts.config.runtime.save_episode_interval = 2;
  BOOST_TEST((run().end == run_end::finished));
  // After 0, 2 and 3 episodes; two are kept.
  BOOST_TEST(count("trainer: save") == 3);
  BOOST_TEST(count("policy: save") == 3);
  auto found = checkpoints.latest();
  BOOST_REQUIRE(found);
  BOOST_TEST(found->episode == 3);
  BOOST_TEST(found->state.meta_number("data/prompts") == 3);
  BOOST_TEST(found->state.meta_number("samples") == 9);
}

BOOST_AUTO_TEST_CASE(a_checkpoint_says_how_models_were_cut) {
  config::model_config x;
  x.name = std::string{"trainer"};
  x.parallel.data = 4;
  parts.config.models.push_back(x);
  parts.config.runtime.num_episode = 1;
  parts.config.runtime.save_episode_interval = 1;
  BOOST_TEST((run().end == run_end::finished));
  auto found = checkpoints.latest();
  BOOST_REQUIRE(found);
  BOOST_TEST(
    engine::check_shapes(found->state, parts.config, app.models).has_value());
  parts.config.models.front().parallel.data = 2;
  BOOST_TEST(
    !engine::check_shapes(found->state, parts.config, app.models).has_value());
}

BOOST_AUTO_TEST_CASE(data_without_a_position_is_warned_of) {
  config::runtime_config runtime;
  BOOST_TEST(!check_position({}, runtime));
  runtime.save_episode_interval = 5;
  BOOST_TEST(check_position({}, runtime).has_value());
  BOOST_TEST(!check_position(data->position(), runtime));
  runtime.save_episode_interval = 0;
  runtime.on_failure = config::failure_policy::restart;
  auto said = check_position({}, runtime);
  BOOST_REQUIRE(said);
  BOOST_TEST(
    said->starts_with("the data has no position(): a resumed run draws "
                      "from the beginning"));
}

// Once, and only of those that train.
BOOST_AUTO_TEST_CASE(a_model_that_trains_and_saves_nothing_is_warned_of) {
  auto make_keeper = [this] {
    return spawn<engine::checkpoint_keeper>(checkpoints, std::size_t{2},
                                            std::vector<std::string>{"trainer",
                                                                     "critic"},
                                            errors);
  };
  auto keeper = make_keeper();
  for (auto episode : {0, 1, 2}) {
    // Each attempt has its own.
    if (episode == 2)
      keeper = make_keeper();
    auto begun = ask_and_run<engine::checkpoint_begun>(keeper,
                                                       engine::begin_checkpoint{
                                                         episode})
                   .value();
    for (const auto* file :
         {"policy/0/troupe.rank0", "trainer/0/troupe.rank0",
          "critic/0/troupe.rank0", "critic/0/parameters.rank0"})
      BOOST_REQUIRE(checkpoint::write_batch(begun.directory / file, batch{}));
    ask_and_run<protocol::ack>(keeper,
                               engine::commit_checkpoint{episode, batch{}})
      .value();
  }
  auto told = ask_and_run<protocol::error_history>(errors,
                                                   protocol::get_errors{})
                .value();
  BOOST_REQUIRE(told.items.size() == 1u);
  BOOST_TEST(told.items[0].model == "trainer");
  BOOST_TEST((told.items[0].level == protocol::severity::warning));
  BOOST_TEST(
    told.items[0].message.starts_with("it trains and has saved nothing"));
}

BOOST_AUTO_TEST_CASE(without_an_interval_nothing_is_saved) {
  BOOST_TEST((run().end == run_end::finished));
  BOOST_TEST(count("trainer: save") == 0);
  BOOST_TEST(!checkpoints.latest());
}

BOOST_AUTO_TEST_CASE(a_run_goes_on_where_it_was_saved) {
  sync("t2p", sync_schedule_kind::by_frequency, 1);
  sync("t2r", sync_schedule_kind::once, 1);
  evaluating({0.25, 0.5, 0.75});
  parts.config.runtime.num_episode = 2;
  parts.config.runtime.save_episode_interval = 1;
  BOOST_TEST((run().end == run_end::finished));
  auto samples = view.episodes.back().samples;
  BOOST_TEST(samples.begin == 3);
  BOOST_TEST(samples.end == 6);
  auto found = checkpoints.latest();
  BOOST_REQUIRE(found);
  log->clear();
  ended->clear();
  view.episodes.clear();
  data->prompts = 0;
  parts.resume = *found;
  parts.config.runtime.num_episode = 3;
  const auto& got = run();
  BOOST_TEST((got.end == run_end::finished));
  BOOST_TEST(got.episodes == 3);
  BOOST_TEST((got.warm_start_accuracy == 0.25));
  BOOST_TEST(data->prompts == 3);
  // What is synced once is loaded, not synced.
  BOOST_TEST(count("t2r: run") == 0);
  BOOST_TEST(count("t2p: run") == 2);
  BOOST_TEST(count("policy: load") == 1);
  BOOST_TEST(count("trainer: load") == 1);
  BOOST_REQUIRE(view.episodes.size() == 1u);
  BOOST_TEST(view.episodes[0].episode == 3);
  // The ledger has neither a gap nor an overlap.
  BOOST_TEST(view.episodes[0].samples.begin == samples.end);
  BOOST_TEST(view.episodes[0].samples.end == 9);
}

// Its destination would otherwise come back with other weights than it had.
BOOST_AUTO_TEST_CASE(a_checkpoint_waits_until_destinations_are_in_step) {
  sync("t2p", sync_schedule_kind::by_frequency, 3);
  parts.config.runtime.num_episode = 7;
  parts.config.runtime.save_episode_interval = 2;
  lines saved;
  BOOST_TEST((run().end == run_end::finished));
  std::vector<std::int64_t> after;
  std::int64_t trained = 0;
  for (const auto& line : *log) {
    trained += line == "trainer: train" ? 1 : 0;
    if (line == "trainer: save")
      after.push_back(trained);
  }
  BOOST_TEST(after == (std::vector<std::int64_t>{0, 3, 6, 7}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(training_goes_on_while_a_checkpoint_is_written) {
  parts.config.runtime.num_episode = 1;
  parts.config.runtime.save_episode_interval = 5;
  trainer->held.insert("save");
  start();
  BOOST_TEST(count("trainer: train") == 1);
  // The next one waits for the first.
  BOOST_TEST(count("trainer: save") == 1);
  BOOST_TEST(ended->empty());
  trainer->held.clear();
  trainer->release();
  run_jobs();
  BOOST_TEST((outcome().end == run_end::finished));
  BOOST_TEST(count("trainer: save") == 2);
}

BOOST_AUTO_TEST_CASE(a_checkpoint_that_fails_ends_the_run) {
  parts.config.runtime.save_episode_interval = 1;
  trainer->failures["save"] = {errc::exhausted, "the disk is full"};
  start();
  await_verdict();
  BOOST_TEST((outcome().end == run_end::failed));
  BOOST_TEST(outcome().verdict.root.message
             == "saving a checkpoint: the disk is full");
  BOOST_TEST(!checkpoints.latest());
}

BOOST_AUTO_TEST_CASE(a_checkpoint_that_cannot_be_loaded_ends_the_run) {
  parts.resume = checkpoint::saved{};
  parts.resume->state.set_meta("version", std::int64_t{1});
  policy->failures["load"] = {errc::corrupt, "weights.rank0 is no batch"};
  start();
  await_verdict();
  BOOST_TEST((outcome().end == run_end::failed));
  BOOST_TEST(outcome().verdict.root.message
             == "loading a checkpoint: weights.rank0 is no batch");
}

BOOST_AUTO_TEST_CASE(a_checkpoint_of_another_version_is_not_loaded) {
  parts.resume = checkpoint::saved{};
  parts.resume->state.set_meta("version", std::int64_t{2});
  start();
  await_verdict();
  BOOST_TEST((outcome().end == run_end::failed));
  BOOST_TEST((outcome().verdict.root.code == errc::invalid));
  BOOST_TEST(count("policy: load") == 0);
}

BOOST_AUTO_TEST_SUITE_END()
