// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/sampling.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string_view>

#include <boost/test/unit_test.hpp>

#include "troupe/apps/torch/random.hpp"

using namespace troupe::torch;

namespace {

// Probabilities 1/8, 1/2, 3/8.
const std::array<float, 3> logits{std::log(1.0f), std::log(4.0f),
                                  std::log(3.0f)};

} // namespace

BOOST_AUTO_TEST_SUITE(torch_sampling)

BOOST_AUTO_TEST_CASE(the_uniform_number_picks_its_slice_of_the_distribution) {
  BOOST_TEST(draw(logits, 1, 0.0).token == 0);
  BOOST_TEST(draw(logits, 1, 0.1249).token == 0);
  BOOST_TEST(draw(logits, 1, 0.1251).token == 1);
  BOOST_TEST(draw(logits, 1, 0.6249).token == 1);
  BOOST_TEST(draw(logits, 1, 0.6251).token == 2);
  BOOST_TEST(draw(logits, 1, 0x1.fffffffffffffp-1).token == 2);
}

BOOST_AUTO_TEST_CASE(logprobs_are_those_of_the_distribution_drawn_from) {
  BOOST_TEST(draw(logits, 1, 0.3).logprob == std::log(0.5f),
             boost::test_tools::tolerance(1e-6f));
  // At temperature 2 the weights are 1, 2 and sqrt(3).
  BOOST_TEST(draw(logits, 2, 0.3).logprob
               == std::log(2 / (3 + std::sqrt(3.0f))),
             boost::test_tools::tolerance(1e-6f));
}

BOOST_AUTO_TEST_CASE(impossible_tokens_are_never_drawn) {
  const std::array<float, 3> some{0.0f, 0.0f,
                                  -std::numeric_limits<float>::infinity()};
  BOOST_TEST(draw(some, 1, 0x1.fffffffffffffp-1).token == 1);
}

BOOST_AUTO_TEST_CASE(greedy_takes_the_first_of_the_most_likely) {
  auto best = most_likely(logits);
  BOOST_TEST(best.token == 1);
  BOOST_TEST(best.logprob == std::log(0.5f),
             boost::test_tools::tolerance(1e-6f));
  const std::array<float, 3> equal{2.0f, 2.0f, 2.0f};
  BOOST_TEST(most_likely(equal).token == 0);
}

BOOST_AUTO_TEST_CASE(logits_that_are_no_numbers_are_refused) {
  constexpr auto nan = std::numeric_limits<float>::quiet_NaN();
  constexpr auto infinity = std::numeric_limits<float>::infinity();
  auto says_so = [](const std::runtime_error& e) {
    return std::string_view{e.what()}.find("logits are not finite")
           != std::string_view::npos;
  };
  for (auto bad : {std::array{0.0f, nan, 1.0f}, std::array{nan, nan, nan},
                   std::array{infinity, 0.0f, 0.0f},
                   std::array{-infinity, -infinity, -infinity}}) {
    BOOST_CHECK_EXCEPTION(static_cast<void>(draw(bad, 1, 0.5)),
                          std::runtime_error, says_so);
    BOOST_CHECK_EXCEPTION(static_cast<void>(most_likely(bad)),
                          std::runtime_error, says_so);
  }
}

BOOST_AUTO_TEST_CASE(uniform_numbers_lie_in_range_and_repeat) {
  std::mt19937_64 a{7};
  std::mt19937_64 b{7};
  double sum = 0;
  for (int i = 0; i < 10'000; ++i) {
    auto x = uniform(a);
    BOOST_REQUIRE((x >= 0 && x < 1));
    BOOST_REQUIRE(x == uniform(b));
    sum += x;
  }
  BOOST_TEST(std::abs(sum / 10'000 - 0.5) < 0.02);
}

BOOST_AUTO_TEST_CASE(normal_numbers_have_their_mean_and_deviation) {
  std::mt19937_64 generator{3};
  std::array<float, 9'999> x{};
  fill_normal(x, 2, generator);
  double sum = 0;
  double squares = 0;
  for (auto value : x) {
    sum += value;
    squares += value * value;
  }
  BOOST_TEST(std::abs(sum / x.size()) < 0.1);
  BOOST_TEST(std::abs(std::sqrt(squares / x.size()) - 2) < 0.1);
}

BOOST_AUTO_TEST_SUITE_END()
