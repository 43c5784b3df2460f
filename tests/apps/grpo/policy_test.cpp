// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/policy.hpp"

#include <boost/test/unit_test.hpp>

#include "apps/support/addition_fixture.hpp"

using namespace troupe;
using namespace troupe::grpo;
using namespace troupe::test;

BOOST_FIXTURE_TEST_SUITE(grpo_policy, addition)

BOOST_AUTO_TEST_CASE(a_rollout_repeats_what_belongs_to_its_prompt) {
  fake_context ctx{"policy", seed, smaller(policy_options())};
  policy model;
  model.setup(ctx);
  auto prompts = data.rows(data.train, 0, 3);
  auto rollout = model.generate(prompts);
  BOOST_TEST(rollout.rows().value() == 24);
  auto groups = require_ids(rollout, field::group);
  for (std::size_t i = 0; i < 24; ++i)
    BOOST_TEST(groups[i] == static_cast<std::int64_t>(i / 8));
  auto tokens = rollout.get(field::tokens).value();
  auto prompt = prompts.get(field::prompt).value();
  BOOST_REQUIRE((tokens.extents() == shape{24, 10}));
  for (std::size_t row = 0; row < 24; ++row)
    for (std::size_t i = 0; i < 6; ++i)
      BOOST_TEST(tokens.values<std::int64_t>()[row * 10 + i]
                 == prompt.values<std::int64_t>()[row / 8 * 6 + i]);
  auto answers = rollout.get(field::answer).value();
  BOOST_TEST(answers.rows(0, 1).same_elements(answers.rows(7, 8)));
}

BOOST_AUTO_TEST_CASE(the_reference_with_equal_weights_agrees_on_logprobs) {
  fake_context policy_ctx{"policy", seed, smaller(policy_options())};
  fake_context reference_ctx{"reference", seed, smaller(reference_options())};
  policy drawing;
  reference scoring;
  drawing.setup(policy_ctx);
  scoring.setup(reference_ctx);
  auto scored = scoring.score(drawing.generate(data.rows(data.train, 0, 8)));
  auto mask = scored.get(field::mask).value();
  auto old = scored.get(field::old_logprobs).value();
  auto again = scored.get(field::reference_logprobs).value();
  for (std::size_t i = 0; i < mask.values<float>().size(); ++i)
    if (mask.values<float>()[i] > 0)
      BOOST_TEST(std::abs(old.values<float>()[i] - again.values<float>()[i])
                 < 1e-5f);
}

BOOST_AUTO_TEST_CASE(evaluation_counts_exact_greedy_answers) {
  fake_context ctx{"policy", seed, smaller(policy_options())};
  policy model;
  model.setup(ctx);
  auto questions = data.rows(data.test, 0, 40);
  auto first = model.evaluate(questions);
  BOOST_TEST(require_floats(first, field::exact).size() == 40u);
  // Greedy: the generator plays no part.
  auto second = model.evaluate(questions);
  BOOST_TEST(first.get(field::tokens)
               .value()
               .same_elements(second.get(field::tokens).value()));
  // Asked for its own answers, it is always right.
  auto tokens = first.get(field::tokens).value();
  auto own = questions.get(field::answer).value();
  bool all_end = true;
  for (std::size_t row = 0; row < 40; ++row) {
    bool ends = false;
    for (std::size_t i = 0; i < 4; ++i) {
      auto token = tokens.values<std::int64_t>()[row * 10 + 6 + i];
      own.values<std::int64_t>()[row * 4 + i] = token;
      ends = ends || token == tokenizer::end;
    }
    all_end = all_end && ends;
  }
  auto right = mean_of(model.evaluate(questions), field::exact);
  BOOST_TEST((all_end ? right == 1 : right < 1));
}

BOOST_AUTO_TEST_SUITE_END()
