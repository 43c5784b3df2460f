// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/model_shape.hpp"

#include <boost/test/unit_test.hpp>

#include <limits>
#include <random>

#include "support/random_seed.hpp"

using namespace troupe;
using namespace troupe::planner;

namespace {

planner::model_shape llama3_8b() {
  planner::model_shape x;
  x.hidden_size = 4096;
  x.num_hidden_layers = 32;
  x.num_attention_heads = 32;
  x.num_key_value_heads = 8;
  x.intermediate_size = 14336;
  x.vocab_size = 128256;
  return x;
}

std::uint64_t total_of(planner::model_shape shape, const char* model_type) {
  BOOST_TEST(apply_architecture(shape, model_type));
  auto counts = count_parameters(shape);
  BOOST_REQUIRE(counts);
  return counts->total();
}

} // namespace

BOOST_AUTO_TEST_SUITE(model_shape)

BOOST_AUTO_TEST_CASE(published_models_have_their_published_sizes) {
  BOOST_TEST(total_of(llama3_8b(), "llama") == 8'030'261'248u);

  planner::model_shape llama2_7b;
  llama2_7b.hidden_size = 4096;
  llama2_7b.num_hidden_layers = 32;
  llama2_7b.num_attention_heads = 32;
  llama2_7b.intermediate_size = 11008;
  llama2_7b.vocab_size = 32000;
  BOOST_TEST(total_of(llama2_7b, "llama") == 6'738'415'616u);

  planner::model_shape qwen25;
  qwen25.hidden_size = 896;
  qwen25.num_hidden_layers = 24;
  qwen25.num_attention_heads = 14;
  qwen25.num_key_value_heads = 2;
  qwen25.intermediate_size = 4864;
  qwen25.vocab_size = 151936;
  qwen25.tie_word_embeddings = true;
  BOOST_TEST(total_of(qwen25, "qwen2") == 494'032'768u);

  planner::model_shape qwen3_8b;
  qwen3_8b.hidden_size = 4096;
  qwen3_8b.num_hidden_layers = 36;
  qwen3_8b.num_attention_heads = 32;
  qwen3_8b.num_key_value_heads = 8;
  qwen3_8b.head_dim = 128;
  qwen3_8b.intermediate_size = 12288;
  qwen3_8b.vocab_size = 151936;
  BOOST_TEST(total_of(qwen3_8b, "qwen3") == 8'190'735'360u);

  planner::model_shape gpt2;
  gpt2.hidden_size = 768;
  gpt2.num_hidden_layers = 12;
  gpt2.num_attention_heads = 12;
  gpt2.intermediate_size = 3072;
  gpt2.vocab_size = 50257;
  gpt2.learned_positions = 1024;
  gpt2.tie_word_embeddings = true;
  BOOST_TEST(total_of(gpt2, "gpt2") == 124'439'808u);
}

BOOST_AUTO_TEST_CASE(mixtures_of_experts_have_their_published_sizes) {
  planner::model_shape mixtral;
  mixtral.hidden_size = 4096;
  mixtral.num_hidden_layers = 32;
  mixtral.num_attention_heads = 32;
  mixtral.num_key_value_heads = 8;
  mixtral.intermediate_size = 14336;
  mixtral.vocab_size = 32000;
  mixtral.num_experts = 8;
  mixtral.num_experts_per_tok = 2;
  BOOST_TEST(total_of(mixtral, "mixtral") == 46'702'792'704u);
  BOOST_TEST(count_parameters(mixtral)->active() == 12'879'925'248u);

  planner::model_shape qwen3_30b;
  qwen3_30b.hidden_size = 2048;
  qwen3_30b.num_hidden_layers = 48;
  qwen3_30b.num_attention_heads = 32;
  qwen3_30b.num_key_value_heads = 4;
  qwen3_30b.head_dim = 128;
  qwen3_30b.intermediate_size = 6144;
  qwen3_30b.vocab_size = 151936;
  qwen3_30b.num_experts = 128;
  qwen3_30b.num_experts_per_tok = 8;
  qwen3_30b.moe_intermediate_size = 768;
  BOOST_TEST(total_of(qwen3_30b, "qwen3_moe") == 30'532'122'624u);

  planner::model_shape qwen15_moe;
  qwen15_moe.hidden_size = 2048;
  qwen15_moe.num_hidden_layers = 24;
  qwen15_moe.num_attention_heads = 16;
  qwen15_moe.num_key_value_heads = 16;
  qwen15_moe.intermediate_size = 5632;
  qwen15_moe.vocab_size = 151936;
  qwen15_moe.num_experts = 60;
  qwen15_moe.num_experts_per_tok = 4;
  qwen15_moe.moe_intermediate_size = 1408;
  qwen15_moe.shared_expert_intermediate_size = 5632;
  BOOST_TEST(total_of(qwen15_moe, "qwen2_moe") == 14'315'784'192u);
}

BOOST_AUTO_TEST_CASE(a_reward_model_has_a_head_of_one_row) {
  auto shape = llama3_8b();
  shape.scalar_head = true;
  BOOST_TEST(count_parameters(shape)->total()
             == 8'030'261'248u - 128256u * 4096u + 4096u);
}

BOOST_AUTO_TEST_CASE(an_unknown_architecture_changes_nothing) {
  auto shape = llama3_8b();
  BOOST_TEST(!apply_architecture(shape, "whale"));
  BOOST_TEST((shape == llama3_8b()));
}

BOOST_AUTO_TEST_CASE(wrong_sizes_are_errors) {
  auto refused = [](auto change) {
    auto shape = llama3_8b();
    change(shape);
    auto x = count_parameters(shape);
    return !x && x.error().code() == errc::invalid;
  };
  constexpr auto huge = std::numeric_limits<std::int64_t>::max();
  constexpr auto large = std::int64_t{1} << 31;
  BOOST_TEST(refused([](auto& x) { x.hidden_size = 0; }));
  BOOST_TEST(refused([](auto& x) { x.hidden_size = -1; }));
  BOOST_TEST(refused([](auto& x) { x.vocab_size = huge; }));
  BOOST_TEST(refused([](auto& x) { x.num_key_value_heads = 5; }));
  BOOST_TEST(refused([](auto& x) { x.num_attention_heads = 33; }));
  BOOST_TEST(refused([](auto& x) { x.first_k_dense_replace = 33; }));
  BOOST_TEST(refused([](auto& x) {
    x.hidden_size = x.intermediate_size = x.vocab_size = large;
  }));
  BOOST_TEST(refused([](auto& x) {
    x.num_experts = 2;
    x.num_experts_per_tok = 3;
  }));
  BOOST_TEST(!plain_parameters(0));
  BOOST_TEST(!plain_parameters(huge));
  BOOST_TEST(!plain_parameters(7, 8));
  BOOST_TEST(plain_parameters(7, 3)->total() == 7u);
}

BOOST_AUTO_TEST_CASE(ranks_hold_their_share) {
  auto counts = *count_parameters(llama3_8b());
  auto whole = parameters_of_rank(counts, {}, 0);
  BOOST_TEST(whole.total() == counts.total());
  parallel_sizes sizes;
  sizes.tensor = 8;
  sizes.pipeline = 4;
  std::uint64_t sum = 0;
  for (std::int32_t stage = 0; stage < 4; ++stage)
    sum += 8 * parameters_of_rank(counts, sizes, stage).total();
  // Norms are held by all eight: two a layer and the last one.
  BOOST_TEST(sum == counts.total() + 7u * 4096u * (2 * 32 + 1));
  // KV heads are copied beyond eight ranks.
  parallel_sizes wide;
  wide.tensor = 16;
  auto kv = counts.key_value / 8;
  BOOST_TEST(parameters_of_rank(counts, wide, 0).dense
             == (counts.embedding + counts.head) / 16
                  + 32
                      * (counts.query_output / 16 + kv + counts.replicated
                         + counts.dense_mlp / 16)
                  + counts.final_norm);
}

BOOST_AUTO_TEST_CASE(a_tied_matrix_is_held_by_both_ends_of_a_pipeline) {
  auto shape = llama3_8b();
  shape.tie_word_embeddings = true;
  auto counts = *count_parameters(shape);
  parallel_sizes sizes;
  sizes.pipeline = 2;
  auto sum = parameters_of_rank(counts, sizes, 0).total()
             + parameters_of_rank(counts, sizes, 1).total();
  BOOST_TEST(sum == counts.total() + counts.embedding);
  BOOST_TEST(parameters_of_rank(counts, {}, 0).total() == counts.total());
}

BOOST_AUTO_TEST_CASE(random_cuts_never_lose_a_parameter) {
  const auto seed = troupe::test::random_seed();
  BOOST_TEST_MESSAGE("seed " << seed);
  BOOST_TEST_CONTEXT("seed " << seed) {
    std::mt19937 random{seed};
    auto pick = [&random](std::int32_t most) {
      return std::uniform_int_distribution<std::int32_t>{1, most}(random);
    };
    for (int round = 0; round < 3000; ++round) {
      auto shape = llama3_8b();
      shape.num_hidden_layers = pick(40);
      shape.num_experts = pick(3) == 1 ? 8 : 0;
      shape.moe_intermediate_size = pick(64);
      shape.first_k_dense_replace = shape.num_experts > 0
                                      ? pick(static_cast<std::int32_t>(
                                        shape.num_hidden_layers))
                                      : 0;
      auto counts = *count_parameters(shape);
      parallel_sizes sizes{1 << (pick(4) - 1), pick(5), pick(4), pick(2), 1};
      sizes.expert = shape.num_experts > 0 ? sizes.data : 1;
      std::uint64_t dense = 0;
      std::uint64_t expert = 0;
      std::int64_t layers = 0;
      for (std::int32_t stage = 0; stage < sizes.pipeline; ++stage) {
        auto held = parameters_of_rank(counts, sizes, stage);
        dense += held.dense * static_cast<std::uint64_t>(sizes.tensor);
        expert += held.expert
                  * static_cast<std::uint64_t>(expert_tensor_size(sizes))
                  * static_cast<std::uint64_t>(sizes.expert);
        layers += layers_of_stage(shape.num_hidden_layers, sizes.pipeline,
                                  stage);
      }
      BOOST_REQUIRE_EQUAL(layers, shape.num_hidden_layers);
      BOOST_REQUIRE_GE(dense + expert, counts.total());
      auto cut = parameters_of_rank(counts, sizes, 0).total();
      auto whole = parameters_of_rank(counts, {}, 0).total();
      BOOST_REQUIRE_LE(cut, whole);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
