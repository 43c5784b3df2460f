// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/sampling.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <stdexcept>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <boost/test/unit_test.hpp>

#include "troupe/apps/torch/random.hpp"
#include "troupe/apps/torch/tensor_bridge.hpp"

using namespace troupe;
using namespace troupe::torch;

namespace {

// Probabilities 1/8, 1/2, 3/8.
const std::array<float, 3> logits{std::log(1.0f), std::log(4.0f),
                                  std::log(3.0f)};

struct drawn {
  std::int64_t token = -1;
  double logprob = 0;
};

/// Draws of rows of `columns` logits; greedily without `u`.
std::vector<drawn> draws(std::span<const float> all, std::int64_t columns,
                         double temperature, std::span<const double> u) {
  auto rows = std::ssize(all) / columns;
  auto of = to_torch(troupe::tensor::copy_of(all, {rows, columns}));
  auto tokens = at::empty({rows}, of.options().dtype(at::kLong));
  auto logprobs = at::empty({rows}, of.options().dtype(at::kDouble));
  if (u.empty())
    most_likely(of, tokens, logprobs);
  else
    draw(of, temperature, to_torch(troupe::tensor::copy_of(u, {rows})),
         room_to_draw(of), tokens, logprobs);
  std::vector<drawn> result;
  for (std::int64_t i = 0; i < rows; ++i)
    result.push_back(
      {tokens[i].item<std::int64_t>(), logprobs[i].item<double>()});
  return result;
}

drawn draw_one(std::span<const float> all, double temperature, double u) {
  return draws(all, std::ssize(all), temperature, {&u, 1}).front();
}

drawn likeliest(std::span<const float> all) {
  return draws(all, std::ssize(all), 1, {}).front();
}

/// By the book: slice after slice off `u`.
drawn expected(std::span<const float> x, double temperature, double u) {
  double largest = *std::ranges::max_element(x);
  double total = 0;
  for (auto logit : x)
    total += std::exp((logit - largest) / temperature);
  auto left = u * total;
  std::size_t chosen = 0;
  for (std::size_t i = 0; i < x.size() && left >= 0; ++i) {
    chosen = i;
    left -= std::exp((x[i] - largest) / temperature);
  }
  return {static_cast<std::int64_t>(chosen),
          (x[chosen] - largest) / temperature - std::log(total)};
}

} // namespace

BOOST_AUTO_TEST_SUITE(torch_sampling)

BOOST_AUTO_TEST_CASE(the_uniform_number_picks_its_slice_of_the_distribution) {
  BOOST_TEST(draw_one(logits, 1, 0.0).token == 0);
  BOOST_TEST(draw_one(logits, 1, 0.1249).token == 0);
  BOOST_TEST(draw_one(logits, 1, 0.1251).token == 1);
  BOOST_TEST(draw_one(logits, 1, 0.6249).token == 1);
  BOOST_TEST(draw_one(logits, 1, 0.6251).token == 2);
  BOOST_TEST(draw_one(logits, 1, 0x1.fffffffffffffp-1).token == 2);
}

BOOST_AUTO_TEST_CASE(logprobs_are_those_of_the_distribution_drawn_from) {
  BOOST_TEST(draw_one(logits, 1, 0.3).logprob == std::log(0.5),
             boost::test_tools::tolerance(1e-6));
  // At temperature 2 the weights are 1, 2 and sqrt(3).
  BOOST_TEST(draw_one(logits, 2, 0.3).logprob
               == std::log(2 / (3 + std::sqrt(3.0))),
             boost::test_tools::tolerance(1e-6));
}

BOOST_AUTO_TEST_CASE(impossible_tokens_are_never_drawn) {
  const std::array<float, 3> some{0.0f, 0.0f,
                                  -std::numeric_limits<float>::infinity()};
  BOOST_TEST(draw_one(some, 1, 0x1.fffffffffffffp-1).token == 1);
}

BOOST_AUTO_TEST_CASE(greedy_takes_the_first_of_the_most_likely) {
  auto best = likeliest(logits);
  BOOST_TEST(best.token == 1);
  BOOST_TEST(best.logprob == std::log(0.5), boost::test_tools::tolerance(1e-6));
  const std::array<float, 3> equal{2.0f, 2.0f, 2.0f};
  BOOST_TEST(likeliest(equal).token == 0);
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
                   std::array{-infinity, -infinity, -infinity}})
    for (auto one :
         {draw_one(bad, 1, 0.5), draw_one(bad, 0.7, 0.5), likeliest(bad)}) {
      // It may index an embedding before anybody looks.
      BOOST_TEST((one.token >= 0 && one.token < 3));
      BOOST_CHECK_EXCEPTION(check_logprob(one.logprob), std::runtime_error,
                            says_so);
    }
  check_logprob(-700.0);
}

BOOST_AUTO_TEST_CASE(rows_are_drawn_as_by_the_book) {
  std::mt19937_64 generator{4};
  for (std::int64_t columns : {1, 2, 14, 300})
    for (double temperature : {1.0, 0.3, 1e-6, 50.0}) {
      constexpr std::size_t rows = 200;
      auto width = static_cast<std::size_t>(columns);
      std::vector<float> all(rows * width);
      fill_normal(all, 3, generator);
      std::vector<double> u(rows);
      for (auto& x : u)
        x = uniform(generator);
      auto given = draws(all, columns, temperature, u);
      for (std::size_t i = 0; i < rows; ++i) {
        auto wanted = expected(std::span{all}.subspan(i * width, width),
                               temperature, u[i]);
        BOOST_TEST(given[i].token == wanted.token);
        BOOST_TEST(std::abs(given[i].logprob - wanted.logprob) < 1e-9);
      }
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
