// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/generation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string_view>

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <boost/test/unit_test.hpp>

#include "troupe/apps/torch/losses.hpp"
#include "troupe/apps/torch/tensor_bridge.hpp"

using namespace troupe;
using namespace troupe::torch;

namespace {

constexpr transformer_config small{11, 10, 2, 16, 4};
constexpr std::int64_t stop = 1;

troupe::tensor some_prompts() {
  troupe::tensor x{dtype::int64, {5, 4}};
  std::int64_t next = 0;
  for (auto& value : x.values<std::int64_t>())
    value = 2 + next++ * 5 % 9;
  return x;
}

} // namespace

BOOST_AUTO_TEST_SUITE(torch_generation)

BOOST_AUTO_TEST_CASE(logprobs_equal_those_of_a_full_forward) {
  transformer model{small, 4};
  auto prompts = some_prompts();
  std::mt19937_64 generator{9};
  for (double temperature : {1.0, 0.7}) {
    auto out = generate(model, prompts, {}, {6, 3, temperature, stop, 0},
                        &generator);
    BOOST_REQUIRE((out.tokens.extents() == shape{15, 6}));
    at::NoGradGuard no_grad;
    auto completion = to_torch(out.tokens);
    auto tokens = at::Tensor{to_torch(prompts).repeat_interleave(3, 0)};
    auto all = tokens.new_zeros({15, 10});
    all.narrow(1, 0, 4).copy_(tokens);
    all.narrow(1, 4, 6).copy_(completion);
    auto logits = model.logits(all.narrow(1, 0, 9), {}, 3).div(temperature);
    auto mask = to_torch(out.mask);
    auto difference = token_logprobs(logits, completion)
                        .sub(to_torch(out.logprobs))
                        .mul(mask)
                        .abs()
                        .max()
                        .item<double>();
    BOOST_TEST(difference < 1e-5);
  }
}

BOOST_AUTO_TEST_CASE(nothing_counts_behind_the_stop_token) {
  transformer model{small, 4};
  std::mt19937_64 generator{1};
  auto out = generate(model, some_prompts(), {}, {6, 20, 1, stop, 0},
                      &generator);
  auto tokens = out.tokens.values<std::int64_t>();
  int stopped = 0;
  for (std::size_t row = 0; row < 100; ++row) {
    auto length = static_cast<std::size_t>(
      out.lengths.values<std::int64_t>()[row]);
    for (std::size_t i = 0; i < 6; ++i) {
      auto at = row * 6 + i;
      BOOST_TEST(out.mask.values<float>()[at] == (i < length ? 1.0f : 0.0f));
      if (i + 1 < length)
        BOOST_TEST(tokens[at] != stop);
      if (i >= length) {
        BOOST_TEST(tokens[at] == 0);
        BOOST_TEST(out.logprobs.values<float>()[at] == 0.0f);
      }
    }
    if (length < 6) {
      BOOST_TEST(tokens[row * 6 + length - 1] == stop);
      ++stopped;
    }
  }
  BOOST_TEST(stopped > 0);
}

BOOST_AUTO_TEST_CASE(the_same_generator_draws_the_same_completions) {
  transformer model{small, 4};
  auto draw = [&](std::uint64_t seed) {
    std::mt19937_64 generator{seed};
    return generate(model, some_prompts(), {}, {6, 4, 1, stop, 0}, &generator);
  };
  auto first = draw(5);
  BOOST_TEST(first.tokens.same_elements(draw(5).tokens));
  BOOST_TEST(first.logprobs.same_elements(draw(5).logprobs));
  BOOST_TEST(!first.tokens.same_elements(draw(6).tokens));
}

BOOST_AUTO_TEST_CASE(results_do_not_depend_on_when_somebody_looks) {
  transformer model{small, 4};
  bool ended_early = false;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    auto draw = [&](std::int64_t look_every, std::mt19937_64& generator) {
      troupe::tensor prompts{dtype::int64, {1, 4}};
      std::ranges::fill(prompts.values<std::int64_t>(), 5);
      return generate(model, prompts, {}, {6, 3, 1, stop, 0, look_every},
                      &generator);
    };
    std::mt19937_64 often{seed};
    auto first = draw(1, often);
    auto longest = std::ranges::max(first.lengths.values<std::int64_t>());
    ended_early = ended_early || longest < 6;
    // As many numbers as the longest row has steps, in every row.
    std::mt19937_64 counted{seed};
    counted.discard(static_cast<unsigned long long>(3 * longest));
    BOOST_TEST((often == counted));
    for (std::int64_t look_every : {0, 2, 4, 100}) {
      std::mt19937_64 seldom{seed};
      auto second = draw(look_every, seldom);
      BOOST_TEST(first.tokens.same_elements(second.tokens));
      BOOST_TEST(first.logprobs.same_elements(second.logprobs));
      BOOST_TEST(first.mask.same_elements(second.mask));
      BOOST_TEST(first.lengths.same_elements(second.lengths));
      BOOST_TEST((often == seldom));
    }
  }
  BOOST_TEST(ended_early);
}

BOOST_AUTO_TEST_CASE(weights_out_of_range_are_an_error) {
  transformer model{small, 4};
  model.parameters()
    .at("model.norm.bias")
    .detach()
    .fill_(std::numeric_limits<double>::quiet_NaN());
  std::mt19937_64 generator{1};
  for (auto* from : {&generator, static_cast<std::mt19937_64*>(nullptr)})
    BOOST_CHECK_EXCEPTION(static_cast<void>(generate(model, some_prompts(), {},
                                                     {6, 1, 1, stop, 0}, from)),
                          std::runtime_error, [](const std::runtime_error& e) {
                            return std::string_view{e.what()}.find(
                                     "logits are not finite")
                                   != std::string_view::npos;
                          });
}

BOOST_AUTO_TEST_CASE(greedy_decoding_takes_the_likeliest_token_each_time) {
  transformer model{small, 4};
  at::NoGradGuard no_grad;
  auto prompts = some_prompts();
  auto out = generate(model, prompts, {}, {3, 1, 1, stop, 0}, nullptr);
  auto tokens = to_torch(prompts);
  for (std::int64_t i = 0; i < 3; ++i) {
    auto best = model.logits(tokens).select(1, tokens.size(1) - 1).argmax(-1);
    auto counts = to_torch(out.mask).select(1, i);
    auto drawn = to_torch(out.tokens).select(1, i);
    auto wrong = best.ne(drawn).mul(counts).sum().item<float>();
    BOOST_TEST(wrong == 0);
    auto longer = tokens.new_zeros({5, tokens.size(1) + 1});
    longer.narrow(1, 0, tokens.size(1)).copy_(tokens);
    longer.select(1, tokens.size(1)).copy_(drawn);
    tokens = longer;
  }
}

BOOST_AUTO_TEST_CASE(senseless_settings_are_refused) {
  transformer model{small, 4};
  auto attempt = [&](generation_settings s) {
    return generate(model, some_prompts(), {}, s, nullptr);
  };
  BOOST_CHECK_THROW(attempt({0, 1, 1, stop, 0}), std::invalid_argument);
  BOOST_CHECK_THROW(attempt({4, 0, 1, stop, 0}), std::invalid_argument);
  BOOST_CHECK_THROW(attempt({4, 1, 0, stop, 0}), std::invalid_argument);
  BOOST_CHECK_THROW(attempt({4, 1, std::nan(""), stop, 0}),
                    std::invalid_argument);
  // Eight tokens behind a prompt of four do not fit a context of ten.
  BOOST_CHECK_THROW(attempt({8, 1, 1, 99, 0}), std::invalid_argument);
}

BOOST_AUTO_TEST_SUITE_END()
