// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/adamw.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include <ATen/core/Tensor.h>
#include <boost/test/unit_test.hpp>

using namespace troupe::torch;
namespace tt = boost::test_tools;

BOOST_AUTO_TEST_SUITE(torch_adamw, *boost::unit_test::tolerance(1e-5f))

BOOST_AUTO_TEST_CASE(two_steps_follow_the_published_formula) {
  arena x{{{"w", {1}}}};
  adamw optimizer{x, {0.9, 0.99, 1e-8, 0.1}};
  double w = 2;
  double m = 0;
  double v = 0;
  x.values(0)[0] = 2;
  for (int t = 1; t <= 2; ++t) {
    double g = t == 1 ? 0.5 : -0.25;
    x.all_gradients()[0] = static_cast<float>(g);
    optimizer.step(0.01);
    w -= 0.01 * 0.1 * w;
    m = 0.9 * m + 0.1 * g;
    v = 0.99 * v + 0.01 * g * g;
    w -= 0.01 * (m / (1 - std::pow(0.9, t)))
         / (std::sqrt(v / (1 - std::pow(0.99, t))) + 1e-8);
    BOOST_TEST(x.values(0)[0] == static_cast<float>(w));
  }
  BOOST_TEST(optimizer.steps() == 2);
}

BOOST_AUTO_TEST_CASE(clipping_scales_all_gradients_to_the_limit) {
  arena x{{{"a", {1}}, {"b", {2}}}};
  auto set = [&] {
    x[0].mutable_grad().fill_(3);
    x[1].mutable_grad().zero_();
    x[1].mutable_grad()[1] = 4;
  };
  set();
  BOOST_TEST(static_cast<float>(clip_gradients(x, 1)) == 5.0f);
  BOOST_TEST(x[0].grad().item<float>() == 0.6f);
  BOOST_TEST(x[1].grad()[1].item<float>() == 0.8f);
  set();
  BOOST_TEST(static_cast<float>(clip_gradients(x, 10)) == 5.0f);
  BOOST_TEST(x[0].grad().item<float>() == 3.0f);
}

BOOST_AUTO_TEST_CASE(gradients_that_are_not_finite_are_an_error) {
  arena x{{{"a", {2}}}};
  x.all_gradients()[1] = std::numeric_limits<float>::quiet_NaN();
  BOOST_CHECK_THROW(clip_gradients(x, 1), std::runtime_error);
}

BOOST_AUTO_TEST_CASE(the_learning_rate_rises_falls_and_stays) {
  learning_rate_schedule rate{1, 4, 14, 0.1};
  auto at = [&](double i) { return static_cast<float>(rate.at(i)); };
  BOOST_TEST(at(0) == 0.25f);
  BOOST_TEST(at(3) == 1.0f);
  BOOST_TEST(at(4) == 1.0f);
  BOOST_TEST(at(9) == 0.55f);
  BOOST_TEST(at(14) == 0.1f);
  BOOST_TEST(at(1000) == 0.1f);
  learning_rate_schedule flat{2, 0, 0, 0.1};
  BOOST_TEST(flat.at(0) == 2);
  BOOST_TEST(flat.at(1e6) == 2);
}

BOOST_AUTO_TEST_SUITE_END()
