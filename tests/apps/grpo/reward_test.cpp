// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/reward.hpp"

#include <stdexcept>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "troupe/apps/grpo/schema.hpp"

using namespace troupe;
using namespace troupe::grpo;
namespace tt = boost::test_tools;

namespace {

using ids = std::vector<std::int64_t>;

tensor rows_of(const ids& values, std::int64_t columns) {
  return tensor::copy_of(std::span<const std::int64_t>{values},
                         {std::ssize(values) / columns, columns});
}

} // namespace

BOOST_AUTO_TEST_SUITE(grpo_reward, *boost::unit_test::tolerance(1e-6f))

BOOST_AUTO_TEST_CASE(exact_answers_earn_all_and_right_characters_a_part) {
  ids answer{5, 6, 1, 0};
  BOOST_TEST(score_answer(ids{5, 6, 1, 0}, answer).reward == 1.0f);
  BOOST_TEST(score_answer(ids{5, 6, 1, 0}, answer).exact);
  BOOST_TEST(score_answer(ids{5, 7, 1, 0}, answer).reward == 0.25f);
  BOOST_TEST(score_answer(ids{5, 1, 0, 0}, answer).reward == 0.25f);
  BOOST_TEST(score_answer(ids{7, 7, 1, 0}, answer).reward == 0.0f);
  BOOST_TEST(score_answer(ids{1, 0, 0, 0}, answer).reward == 0.0f);
  // One character too many.
  BOOST_TEST(score_answer(ids{5, 6, 6, 1}, answer).reward == 1.0f / 3);
}

BOOST_AUTO_TEST_CASE(an_answer_that_never_ends_is_not_exact) {
  auto score = score_answer(ids{5, 6}, ids{5, 6, 1, 0});
  BOOST_TEST(!score.exact);
  BOOST_TEST(score.reward == 0.5f);
}

BOOST_AUTO_TEST_CASE(a_batch_is_scored_row_by_row) {
  batch x;
  x.set(std::string{field::tokens}, rows_of({9, 9, 5, 6, 1, 9, 9, 5, 5, 1}, 5));
  x.set(std::string{field::answer}, rows_of({5, 6, 1, 5, 6, 1}, 3));
  reward model;
  auto scored = model.score(x);
  auto rewards = require_floats(scored, field::reward);
  BOOST_TEST(rewards[0] == 1.0f);
  BOOST_TEST(rewards[1] == 0.25f);
  BOOST_TEST(mean_of(scored, field::exact) == 0.5);
  BOOST_TEST(scored.find(field::tokens) != nullptr);
}

BOOST_AUTO_TEST_CASE(shapes_that_do_not_fit_are_refused) {
  batch x;
  x.set(std::string{field::tokens}, rows_of({9, 9, 5, 6, 1}, 5));
  reward model;
  BOOST_CHECK_THROW((void) model.score(x), std::invalid_argument);
  x.set(std::string{field::answer}, rows_of({5, 6, 1, 5, 6, 1}, 3));
  BOOST_CHECK_THROW((void) model.score(x), std::invalid_argument);
}

BOOST_AUTO_TEST_SUITE_END()
