// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/advantages.hpp"

#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "troupe/apps/grpo/schema.hpp"

using namespace troupe;
using namespace troupe::grpo;
namespace tt = boost::test_tools;

namespace {

batch samples(std::vector<float> rewards, std::vector<std::int64_t> groups) {
  batch x;
  x.set(std::string{field::reward},
        tensor::copy_of(std::span<const float>{rewards},
                        {std::ssize(rewards)}));
  x.set(std::string{field::group},
        tensor::copy_of(std::span<const std::int64_t>{groups},
                        {std::ssize(groups)}));
  return x;
}

} // namespace

BOOST_AUTO_TEST_SUITE(grpo_advantages)

BOOST_AUTO_TEST_CASE(rewards_are_measured_against_their_own_group) {
  // Group 5: mean 0.5, deviation 0.5; group 9: mean 2, deviation 1.
  auto out = group_advantages(samples({0, 1, 1, 3, 1, 0}, {5, 9, 5, 9, 5, 5}));
  auto advantages = require_floats(out, field::advantage);
  std::vector<float> expected{-1, -1, 1, 1, 1, -1};
  for (std::size_t i = 0; i < expected.size(); ++i)
    BOOST_TEST(advantages[i] == expected[i], tt::tolerance(1e-5f));
  BOOST_TEST(require_floats(out, field::reward).size() == 6u);
}

BOOST_AUTO_TEST_CASE(a_group_that_agrees_teaches_nothing) {
  auto out = group_advantages(samples({0.3f, 0.3f, 0.3f}, {1, 1, 1}));
  for (auto x : require_floats(out, field::advantage))
    BOOST_TEST(x == 0.0f, tt::tolerance(1e-3f));
}

BOOST_AUTO_TEST_CASE(bad_input_is_refused) {
  BOOST_CHECK_THROW((void) group_advantages(samples({1}, {1, 2})),
                    std::invalid_argument);
  BOOST_CHECK_THROW((void) group_advantages(
                      samples({std::numeric_limits<float>::quiet_NaN()}, {1})),
                    std::invalid_argument);
  BOOST_CHECK_THROW((void) group_advantages(batch{}), std::invalid_argument);
}

BOOST_AUTO_TEST_SUITE_END()
