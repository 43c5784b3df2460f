// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <stdexcept>
#include <string>
#include <string_view>

#include <boost/test/unit_test.hpp>

#include "apps/support/addition_fixture.hpp"

using namespace troupe;
using namespace troupe::grpo;
using namespace troupe::test;

namespace {

fake_context& in_bfloat16(fake_context& ctx) {
  ctx.settings().set("dtype", std::string{"bfloat16"});
  return ctx;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(grpo_bfloat16, addition)

BOOST_AUTO_TEST_CASE(supervised_steps_in_bfloat16_lower_the_loss) {
  auto ctx = trainer_context();
  policy_trainer model;
  model.setup(in_bfloat16(ctx));
  auto first = model.warm_start(data.rows(data.train, 0, 256));
  auto last = model.warm_start(data.rows(data.train, 0, 40 * 128));
  BOOST_TEST(last.meta_number(metric::loss)
             < 0.95 * first.meta_number(metric::loss));
  // What a sync moves and a checkpoint saves is the exact one.
  BOOST_TEST((model.parameters().front().type == dtype::float32));
}

BOOST_AUTO_TEST_CASE(an_episode_in_bfloat16_is_close_to_one_in_float32) {
  auto prompts = data.rows(data.train, 0, 8);
  fake_context policy_ctx{"policy", seed, smaller(policy_options())};
  fake_context reference_ctx{"reference", seed, smaller(reference_options())};
  policy drawing;
  reference scoring;
  drawing.setup(in_bfloat16(policy_ctx));
  scoring.setup(in_bfloat16(reference_ctx));
  BOOST_TEST((drawing.parameters().front().type == dtype::bfloat16));
  auto rollout = drawing.generate(prompts);
  auto scored = scoring.score(rollout);
  fake_context exact_ctx{"reference", seed, smaller(reference_options())};
  reference exact;
  exact.setup(exact_ctx);
  auto expected = exact.score(rollout);
  auto mask = scored.get(field::mask).value();
  auto near = [&](std::string_view name, const batch& other) {
    auto a = scored.get(name).value();
    auto b = other.get(field::reference_logprobs).value();
    float worst = 0;
    for (std::size_t i = 0; i < mask.values<float>().size(); ++i)
      if (mask.values<float>()[i] > 0)
        worst = std::max(worst,
                         std::abs(a.values<float>()[i] - b.values<float>()[i]));
    return worst;
  };
  BOOST_TEST(near(field::reference_logprobs, expected) < 0.05f);
  BOOST_TEST(near(field::old_logprobs, scored) < 0.05f);
  auto trainer_ctx = trainer_context();
  policy_trainer trainer;
  trainer.setup(in_bfloat16(trainer_ctx));
  auto metrics = trainer.train_step(group_advantages(reward{}.score(scored)));
  BOOST_TEST(std::isfinite(metrics.meta_number(metric::loss)));
  // The same weights drew the tokens, but for rounding.
  BOOST_TEST(std::abs(metrics.meta_number(metric::kl)) < 0.01);
}

BOOST_AUTO_TEST_CASE(other_types_are_refused_by_name) {
  auto ctx = trainer_context();
  ctx.settings().set("dtype", std::string{"float16"});
  policy_trainer model;
  BOOST_CHECK_EXCEPTION(model.setup(ctx), std::invalid_argument,
                        [](const std::invalid_argument& e) {
                          return std::string_view{e.what()}.find(
                                   "dtype is 'float16'")
                                 != std::string_view::npos;
                        });
}

BOOST_AUTO_TEST_SUITE_END()
