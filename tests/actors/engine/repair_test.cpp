// SPDX-License-Identifier: Apache-2.0
// What an engine that failed leaves, and how the next one goes on with it.
#include <boost/test/unit_test.hpp>

#include "actors/engine/engine_fixture.hpp"

using namespace troupe;
using namespace troupe::engine_test;

namespace {

struct fixture : engine_fixture {
  fixture() {
    const_cast<model_declaration*>(app.models.find("trainer"))->set_trainable();
    sync("t2p", sync_schedule_kind::by_frequency, 1);
    sync("t2r", sync_schedule_kind::once, 1);
    parts.config.runtime.on_failure = config::failure_policy::restart;
    parts.config.runtime.num_episode = 4;
  }

  /// Runs until `model` fails in `function` in the second episode.
  const run_ended& fail_in_second(const std::string& operation,
                                  test::model_script& model) {
    auto times = std::make_shared<int>(0);
    model.on_invoke = [&model, operation, times](const protocol::invoke& x) {
      protocol::invoked out;
      out.output = x.input;
      if (x.function == operation && ++*times == 2)
        model.failures[operation] = {errc::lost, "its process is gone"};
      return out;
    };
    start();
    await_verdict();
    BOOST_REQUIRE(ended->size() == 1u);
    BOOST_TEST((outcome().end == run_end::failed));
    return ended->front();
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(engine_repair, fixture)

BOOST_AUTO_TEST_CASE(a_run_that_fails_before_training_stands_where_it_began) {
  const auto& x = fail_in_second("generate", *policy);
  BOOST_REQUIRE(x.standing);
  BOOST_TEST(x.standing->episode == 1);
  BOOST_TEST(x.standing->state.meta_number("data/prompts") == 1);
  BOOST_TEST(x.standing->state.meta_number("samples") == 3);
  BOOST_TEST(x.standing->scope > 0u);
}

BOOST_AUTO_TEST_CASE(once_a_model_trains_nothing_stands) {
  BOOST_TEST(!fail_in_second("train", *trainer).standing);
}

BOOST_AUTO_TEST_CASE(who_does_not_go_on_keeps_nothing) {
  parts.config.runtime.on_failure = config::failure_policy::stop;
  BOOST_TEST(!fail_in_second("generate", *policy).standing);
}

BOOST_AUTO_TEST_CASE(the_next_engine_repeats_the_episode) {
  auto left = fail_in_second("generate", *policy);
  policy->failures.clear();
  policy->on_invoke = nullptr;
  ended->clear();
  log->clear();
  view.episodes.clear();
  engine::repaired_run again;
  again.from = *left.standing;
  for (const auto& [name, script] :
       {std::pair{"policy", policy}, std::pair{"trainer", trainer}})
    again.members[name] = script->manifests;
  parts.repaired = again;
  const auto& got = run();
  BOOST_TEST((got.end == run_end::finished));
  // Nobody is set up or loads; destinations that are kept in step are synced.
  BOOST_TEST(count("policy: set up") == 0);
  BOOST_TEST(count("policy: load") == 0);
  BOOST_TEST(count("t2p: prepare") == 1);
  BOOST_TEST(count("t2r: run") == 0);
  BOOST_TEST(log->at(0).find("prepare") != std::string::npos);
  BOOST_REQUIRE(view.episodes.size() == 3u);
  BOOST_TEST(view.episodes[0].episode == 2);
  BOOST_TEST(view.episodes[0].samples.begin == 3);
  BOOST_TEST(view.episodes[2].samples.end == 12);
  BOOST_TEST(data->prompts == 4);
}

// Its ranks have written it: only its last step is left.
BOOST_AUTO_TEST_CASE(a_checkpoint_on_its_way_is_finished_first) {
  parts.config.runtime.save_episode_interval = 1;
  trainer->held.insert("save");
  policy->failures["generate"] = {errc::lost, "its process is gone"};
  start();
  await_verdict();
  BOOST_TEST(ended->empty());
  BOOST_TEST(!checkpoints.latest());
  trainer->release();
  run_jobs();
  BOOST_TEST((outcome().end == run_end::failed));
  BOOST_TEST((outcome().saved_episode == 0));
  BOOST_TEST(checkpoints.latest().has_value());
}

BOOST_AUTO_TEST_CASE(but_not_for_long) {
  parts.config.runtime.save_episode_interval = 1;
  trainer->silent.insert("save");
  policy->failures["generate"] = {errc::lost, "its process is gone"};
  start();
  await_verdict();
  BOOST_TEST(ended->empty());
  advance_time(std::chrono::seconds{5});
  BOOST_TEST((outcome().end == run_end::failed));
  BOOST_TEST(!outcome().saved_episode);
}

BOOST_AUTO_TEST_SUITE_END()
