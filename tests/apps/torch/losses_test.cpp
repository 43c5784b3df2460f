// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/losses.hpp"

#include <cmath>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <boost/test/unit_test.hpp>

using namespace troupe::torch;
namespace tt = boost::test_tools;

namespace {

at::Tensor row(const std::vector<float>& values) {
  return at::tensor(values).unsqueeze(0);
}

double number(const at::Tensor& x) {
  return x.item<double>();
}

} // namespace

BOOST_AUTO_TEST_SUITE(torch_losses, *boost::unit_test::tolerance(1e-5))

BOOST_AUTO_TEST_CASE(logprobs_pick_the_targets_of_a_softmax) {
  // Two positions over three tokens; weights 1, 2, 5 and 1, 1, 2.
  auto logits = at::tensor(std::vector<float>{0, std::log(2.0f), std::log(5.0f),
                                              0, 0, std::log(2.0f)})
                  .view({1, 2, 3});
  auto targets = at::tensor(std::vector<std::int64_t>{2, 0}).view({1, 2});
  auto logprobs = token_logprobs(logits, targets);
  BOOST_TEST(number(logprobs[0][0]) == std::log(5.0 / 8));
  BOOST_TEST(number(logprobs[0][1]) == std::log(1.0 / 4));
  auto both = row({1, 1});
  BOOST_TEST(number(cross_entropy_sum(logits, targets, both))
             == -std::log(5.0 / 8) - std::log(1.0 / 4));
  auto first = row({1, 0});
  BOOST_TEST(number(cross_entropy_sum(logits, targets, first))
             == -std::log(5.0 / 8));
}

BOOST_AUTO_TEST_CASE(entropy_counts_masked_positions_alone) {
  auto logits = at::zeros({1, 2, 4});
  BOOST_TEST(entropy_sum(logits, row({1, 0})) == std::log(4.0));
  BOOST_TEST(entropy_sum(logits, row({1, 1})) == 2 * std::log(4.0));
}

BOOST_AUTO_TEST_CASE(k3_is_zero_where_both_agree_and_positive_elsewhere) {
  auto k3 = k3_divergence(row({-1, -1, -1}), row({-1, -2, -0.5f}));
  BOOST_TEST(number(k3[0][0]) == 0);
  BOOST_TEST(number(k3[0][1]) == std::exp(-1.0) + 1 - 1);
  BOOST_TEST(number(k3[0][2]) == std::exp(0.5) - 0.5 - 1);
}

BOOST_AUTO_TEST_CASE(the_objective_clips_only_what_would_go_too_far) {
  // Ratios 1.5, 1.5, 0.5, 0.5 with advantage +1, -1, +1, -1.
  std::vector<float> ratios{1.5f, 1.5f, 0.5f, 0.5f};
  std::vector<float> signs{1, -1, 1, -1};
  // min(r A, clip(r) A): 1.2, -1.5, 0.5, -0.8.
  std::vector<double> expected{1.2, -1.5, 0.5, -0.8};
  for (std::size_t i = 0; i < ratios.size(); ++i) {
    auto old = row({-1});
    auto now = row({-1 + std::log(ratios[i])});
    policy_terms terms;
    auto loss = policy_loss_sum(now, old, now, at::tensor({signs[i]}), row({1}),
                                {0.2, 0}, terms);
    BOOST_TEST(number(loss) == -expected[i]);
    BOOST_TEST(terms.objective == expected[i]);
    BOOST_TEST(terms.clipped == 1);
    BOOST_TEST(terms.kl == 0);
  }
}

BOOST_AUTO_TEST_CASE(the_loss_adds_the_weighted_divergence_and_obeys_the_mask) {
  auto now = row({-1, -2, -3});
  auto old = row({-1, -2, -3});
  auto reference = row({-1.5f, -2, 0});
  policy_terms terms;
  auto loss = policy_loss_sum(now, old, reference, at::tensor({2.0f}),
                              row({1, 1, 0}), {0.2, 0.1}, terms);
  auto kl = std::exp(-0.5) + 0.5 - 1;
  BOOST_TEST(terms.kl == kl);
  BOOST_TEST(terms.objective == 4);
  BOOST_TEST(terms.clipped == 0);
  BOOST_TEST(number(loss) == -4 + 0.1 * kl);
}

BOOST_AUTO_TEST_CASE(the_gradient_of_the_objective_is_the_advantage) {
  auto now = row({-1, -2});
  now.set_requires_grad(true);
  policy_terms terms;
  policy_loss_sum(now, row({-1, -2}), row({-1, -2}), at::tensor({3.0f}),
                  row({1, 0}), {0.2, 0.5}, terms)
    .backward();
  // The ratio is 1, its derivative too; k3 is flat where both agree.
  BOOST_TEST(number(now.grad()[0][0]) == -3);
  BOOST_TEST(number(now.grad()[0][1]) == 0);
}

BOOST_AUTO_TEST_SUITE_END()
