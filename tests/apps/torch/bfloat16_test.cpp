// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <boost/test/unit_test.hpp>

#include "troupe/apps/torch/adamw.hpp"
#include "troupe/apps/torch/generation.hpp"
#include "troupe/apps/torch/losses.hpp"
#include "troupe/apps/torch/tensor_bridge.hpp"
#include "troupe/apps/torch/transformer.hpp"

using namespace troupe;
using namespace troupe::torch;

namespace {

constexpr transformer_config small{11, 10, 2, 16, 4};
constexpr transformer_settings trains{{}, dtype::bfloat16, true};
constexpr transformer_settings answers{{}, dtype::bfloat16, false};

troupe::tensor some_tokens(std::int64_t rows, std::int64_t columns) {
  troupe::tensor x{dtype::int64, {rows, columns}};
  std::int64_t next = 0;
  for (auto& value : x.values<std::int64_t>())
    value = 2 + next++ * 5 % 9;
  return x;
}

} // namespace

BOOST_AUTO_TEST_SUITE(torch_bfloat16)

BOOST_AUTO_TEST_CASE(logits_are_float32_and_near_those_of_float32) {
  transformer exact{small, 1};
  transformer rounded{small, 1, answers};
  at::NoGradGuard no_grad;
  auto tokens = to_torch(some_tokens(3, 8));
  auto x = rounded.logits(tokens);
  BOOST_TEST((x.scalar_type() == at::kFloat));
  auto difference = x.sub(exact.logits(tokens)).abs().max().item<float>();
  // Eight bits of mantissa through two blocks.
  BOOST_TEST(difference < 0.05f);
  BOOST_TEST(difference > 0.0f);
}

BOOST_AUTO_TEST_CASE(both_ways_to_keep_parameters_compute_the_same) {
  transformer training{small, 1, trains};
  transformer answering{small, 1, answers};
  BOOST_TEST((training.parameters().parameters()[0].type == dtype::float32));
  auto list = answering.parameters().parameters();
  BOOST_TEST((list[0].type == dtype::bfloat16));
  BOOST_TEST(list[0].memory.size() == 11u * 16 * 2);
  BOOST_TEST(answering.parameters().gradient_block() == nullptr);
  auto tokens = to_torch(some_tokens(3, 8));
  at::NoGradGuard no_grad;
  BOOST_TEST(training.logits(tokens).equal(answering.logits(tokens)));
}

BOOST_AUTO_TEST_CASE(generation_reports_the_logprobs_of_a_full_forward) {
  transformer model{small, 4, answers};
  auto prompts = some_tokens(5, 4);
  std::mt19937_64 generator{9};
  auto out = generate(model, prompts, {}, {6, 1, 1, 1, 0}, &generator);
  at::NoGradGuard no_grad;
  auto completion = to_torch(out.tokens);
  auto all = completion.new_zeros({5, 10});
  all.narrow(1, 0, 4).copy_(to_torch(prompts));
  all.narrow(1, 4, 6).copy_(completion);
  auto logits = model.logits(all.narrow(1, 0, 9), {}, 3);
  auto difference = token_logprobs(logits, completion)
                      .sub(to_torch(out.logprobs))
                      .mul(to_torch(out.mask))
                      .abs()
                      .max()
                      .item<float>();
  BOOST_TEST(difference < 0.05f);
}

BOOST_AUTO_TEST_CASE(a_cache_keeps_the_head_that_it_was_begun_with) {
  transformer model{small, 1, answers};
  at::NoGradGuard no_grad;
  auto tokens = to_torch(some_tokens(3, 8));
  auto last = [&](bool with_new_head) {
    kv_cache cache{small, 8, {0, 0, 0}};
    model.next_logits(cache, tokens.narrow(1, 0, 7));
    auto head = model.parameters().at("lm_head.weight");
    auto before = head.clone();
    if (with_new_head)
      head.zero_();
    auto logits = model.next_logits(cache, tokens.narrow(1, 7, 1));
    head.copy_(before);
    return logits;
  };
  auto expected = last(false);
  BOOST_TEST(expected.abs().max().item<float>() > 0.0f);
  BOOST_TEST(last(true).equal(expected));
  // A new cache sees the new head.
  model.parameters().at("lm_head.weight").zero_();
  BOOST_TEST(last(false).abs().max().item<float>() == 0.0f);
}

BOOST_AUTO_TEST_CASE(a_few_steps_lower_the_loss) {
  transformer model{small, 1, trains};
  adamw optimizer{model.parameters(), {}};
  auto tokens = to_torch(some_tokens(8, 9));
  auto seen = tokens.narrow(1, 0, 8);
  auto wanted = tokens.narrow(1, 1, 8);
  auto all = at::Tensor{wanted.ne(-1).to(at::kFloat)};
  auto step = [&] {
    model.parameters().zero_gradients();
    auto loss = cross_entropy_sum(model.logits(seen), wanted, all).div(64);
    loss.backward();
    optimizer.step(1e-2);
    return loss.item<float>();
  };
  auto first = step();
  BOOST_TEST((model.parameters().flat_gradients().scalar_type() == at::kFloat));
  for (int i = 0; i < 20; ++i)
    step();
  auto last = step();
  BOOST_TEST(last < first / 2);
}

BOOST_AUTO_TEST_CASE(gradients_of_embeddings_are_summed_in_float32) {
  // One token in 1024 rows: in bfloat16 the sum would stop growing at 256.
  transformer model{{4, 2, 1, 4, 1}, 1, trains};
  troupe::tensor ids{dtype::int64, {1024, 1}};
  for (auto& id : ids.values<std::int64_t>())
    id = 2;
  auto loss = cross_entropy_sum(model.logits(to_torch(ids)), to_torch(ids),
                                to_torch(ids).ne(-1).to(at::kFloat));
  loss.backward();
  auto of_all = model.parameters().at("model.embed_tokens.weight").grad();
  auto of_one = [&] {
    transformer single{{4, 2, 1, 4, 1}, 1, trains};
    auto id = to_torch(ids).narrow(0, 0, 1);
    cross_entropy_sum(single.logits(id), id, id.ne(-1).to(at::kFloat))
      .backward();
    return single.parameters().at("model.embed_tokens.weight").grad().clone();
  }();
  auto error = of_all.sub(of_one.mul(1024)).abs().max().item<float>();
  auto size = of_one.abs().max().item<float>() * 1024;
  BOOST_TEST(size > 0.0f);
  BOOST_TEST(error < size * 2e-2f);
}

BOOST_AUTO_TEST_CASE(what_trains_is_not_kept_in_bfloat16) {
  BOOST_CHECK_THROW((arena{{{"a", {1}}}, {{}, dtype::bfloat16, true}}),
                    std::invalid_argument);
  arena frozen{{{"a", {1}}}, {{}, dtype::bfloat16, false}};
  BOOST_CHECK_THROW((adamw{frozen, {}}), std::invalid_argument);
  BOOST_CHECK_THROW((transformer{small, 1, {{}, dtype::int64, false}}),
                    std::invalid_argument);
}

BOOST_AUTO_TEST_SUITE_END()
