// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/model_shape.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace troupe::planner {

namespace {

constexpr std::int64_t max_size = std::int64_t{1} << 31;
constexpr std::uint64_t max_parameters = std::uint64_t{1} << 50;

constexpr std::uint64_t divide_up(std::uint64_t x, std::uint64_t by) noexcept {
  return (x + by - 1) / by;
}

struct architecture {
  std::string_view name;
  bool gated_mlp;
  bool qkv_bias;
  bool all_bias;
  bool qk_norm;
  bool shared_expert_gate;
};

constexpr std::array<architecture, 8> architectures{{
  {"llama", true, false, false, false, false},
  {"mistral", true, false, false, false, false},
  {"mixtral", true, false, false, false, false},
  {"qwen2", true, true, false, false, false},
  {"qwen2_moe", true, true, false, false, true},
  {"qwen3", true, false, false, true, false},
  {"qwen3_moe", true, false, false, true, false},
  {"gpt2", false, true, true, false, false},
}};

} // namespace

bool apply_architecture(model_shape& shape, std::string_view model_type) {
  for (const auto& x : architectures)
    if (x.name == model_type) {
      shape.gated_mlp = x.gated_mlp;
      shape.qkv_bias = x.qkv_bias;
      shape.output_bias = shape.mlp_bias = shape.norm_bias = x.all_bias;
      shape.qk_norm = x.qk_norm;
      shape.shared_expert_gate = x.shared_expert_gate;
      return true;
    }
  return false;
}

std::uint64_t parameter_counts::total() const noexcept {
  auto layer = query_output + key_value + replicated;
  auto dense = static_cast<std::uint64_t>(dense_layers) * (layer + dense_mlp);
  auto moe = static_cast<std::uint64_t>(expert_layers)
             * (layer + router + shared_expert
                + static_cast<std::uint64_t>(experts) * expert);
  return embedding + dense + moe + final_norm + head;
}

std::uint64_t parameter_counts::active() const noexcept {
  auto idle = static_cast<std::uint64_t>(experts - experts_per_token);
  return total() - static_cast<std::uint64_t>(expert_layers) * idle * expert;
}

result<parameter_counts> count_parameters(const model_shape& shape) {
  struct bound {
    std::string_view name;
    std::int64_t value;
    std::int64_t least;
  };
  const std::array<bound, 13> bounds{{
    {"hidden_size", shape.hidden_size, 1},
    {"num_hidden_layers", shape.num_hidden_layers, 1},
    {"num_attention_heads", shape.num_attention_heads, 1},
    {"num_key_value_heads", shape.num_key_value_heads, 0},
    {"head_dim", shape.head_dim, 0},
    {"intermediate_size", shape.intermediate_size, 0},
    {"vocab_size", shape.vocab_size, 1},
    {"num_experts", shape.num_experts, 0},
    {"num_experts_per_tok", shape.num_experts_per_tok, 0},
    {"moe_intermediate_size", shape.moe_intermediate_size, 0},
    {"shared_expert_intermediate_size", shape.shared_expert_intermediate_size,
     0},
    {"first_k_dense_replace", shape.first_k_dense_replace, 0},
    {"max_position_embeddings", shape.learned_positions, 0},
  }};
  for (const auto& x : bounds)
    if (x.value < x.least || x.value > max_size)
      return fail(errc::invalid,
                  fmt::format("{} must be between {} and {}, got {}", x.name,
                              x.least, max_size, x.value));
  auto kv_heads = shape.num_key_value_heads > 0 ? shape.num_key_value_heads
                                                : shape.num_attention_heads;
  if (shape.num_attention_heads % kv_heads != 0)
    return fail(errc::invalid,
                fmt::format("num_attention_heads ({}) is not divisible by "
                            "num_key_value_heads ({})",
                            shape.num_attention_heads, kv_heads));
  if (shape.head_dim == 0 && shape.hidden_size % shape.num_attention_heads != 0)
    return fail(errc::invalid,
                fmt::format("hidden_size ({}) is not divisible by "
                            "num_attention_heads ({}); give head_dim",
                            shape.hidden_size, shape.num_attention_heads));
  if (shape.num_experts > 0 && shape.num_experts_per_tok > shape.num_experts)
    return fail(errc::invalid,
                fmt::format("num_experts_per_tok ({}) exceeds num_experts ({})",
                            shape.num_experts_per_tok, shape.num_experts));
  if (shape.first_k_dense_replace > shape.num_hidden_layers)
    return fail(errc::invalid, fmt::format("first_k_dense_replace ({}) exceeds "
                                           "num_hidden_layers ({})",
                                           shape.first_k_dense_replace,
                                           shape.num_hidden_layers));
  // Four factors of 31 bits overflow 64: a float says first whether the counts
  // are in reach.
  auto head_dim = shape.head_dim > 0
                    ? shape.head_dim
                    : shape.hidden_size / shape.num_attention_heads;
  auto expert_size = shape.moe_intermediate_size > 0
                       ? shape.moe_intermediate_size
                       : shape.intermediate_size;
  auto wide = [](std::int64_t x) { return static_cast<double>(x); };
  auto attention = 2 * (wide(shape.num_attention_heads) + wide(kv_heads))
                   * wide(head_dim);
  auto mlp = 3
             * (wide(shape.intermediate_size)
                + wide(expert_size) * wide(shape.num_experts)
                + wide(shape.shared_expert_intermediate_size)
                + wide(shape.num_experts));
  auto estimate = wide(shape.hidden_size + 1)
                  * (wide(shape.num_hidden_layers) * (attention + mlp + 8)
                     + 2 * wide(shape.vocab_size)
                     + wide(shape.learned_positions));
  if (estimate > static_cast<double>(max_parameters))
    return fail(errc::invalid,
                fmt::format("the sizes give about {:.1e} parameters; check "
                            "them: more than 2^50 are refused",
                            estimate));

  auto u = [](std::int64_t x) { return static_cast<std::uint64_t>(x); };
  const auto hidden = u(shape.hidden_size);
  const auto query = u(shape.num_attention_heads * head_dim);
  const auto kv = u(kv_heads * head_dim);
  const auto norm = hidden * (shape.norm_bias ? 2 : 1);
  auto mlp_of = [&](std::uint64_t size) {
    auto matrices = shape.gated_mlp ? 3u : 2u;
    return hidden * size * matrices
           + (shape.mlp_bias ? size * (matrices - 1) : 0);
  };
  parameter_counts x;
  x.embedding = (u(shape.vocab_size) + u(shape.learned_positions)) * hidden;
  x.query_output = 2 * hidden * query + (shape.qkv_bias ? query : 0);
  x.key_value = 2 * hidden * kv + (shape.qkv_bias ? 2 * kv : 0);
  x.replicated = 2 * norm + (shape.output_bias ? hidden : 0)
                 + (shape.mlp_bias ? hidden : 0)
                 + (shape.qk_norm ? 2 * u(head_dim) : 0);
  x.dense_mlp = mlp_of(u(shape.intermediate_size));
  x.final_norm = norm;
  x.tied = shape.tie_word_embeddings && !shape.scalar_head;
  if (shape.scalar_head)
    x.head = hidden;
  else if (!x.tied)
    x.head = u(shape.vocab_size) * hidden;
  x.kv_heads = kv_heads;
  x.dense_layers = shape.num_hidden_layers;
  if (shape.num_experts > 0) {
    x.dense_layers = shape.first_k_dense_replace;
    x.expert_layers = shape.num_hidden_layers - x.dense_layers;
    x.experts = shape.num_experts;
    x.experts_per_token = shape.num_experts_per_tok;
    x.router = hidden * u(shape.num_experts)
               + (shape.shared_expert_gate ? hidden : 0);
    x.expert = mlp_of(u(expert_size));
    if (shape.shared_expert_intermediate_size > 0)
      x.shared_expert = mlp_of(u(shape.shared_expert_intermediate_size));
  }
  return x;
}

result<parameter_counts> plain_parameters(std::int64_t parameters,
                                          std::int64_t layers) {
  if (parameters < 1 || parameters > static_cast<std::int64_t>(max_parameters))
    return fail(errc::invalid,
                fmt::format("the number of parameters must be between 1 and "
                            "2^50, got {}",
                            parameters));
  if (layers < 1 || layers > parameters)
    return fail(errc::invalid,
                fmt::format("{} parameters cannot form {} layers", parameters,
                            layers));
  parameter_counts x;
  x.dense_layers = layers;
  x.dense_mlp = static_cast<std::uint64_t>(parameters / layers);
  x.final_norm = static_cast<std::uint64_t>(parameters % layers);
  return x;
}

std::int64_t layers_of_stage(std::int64_t layers, std::int32_t pipeline,
                             std::int32_t stage) noexcept {
  return layers / pipeline + (stage < layers % pipeline ? 1 : 0);
}

std::int32_t expert_tensor_size(const parallel_sizes& sizes) noexcept {
  auto stage = std::int64_t{sizes.tensor} * sizes.data * sizes.context;
  auto block = std::int64_t{sizes.tensor} * sizes.expert;
  return stage % block == 0 ? sizes.tensor : 1;
}

rank_parameters parameters_of_rank(const parameter_counts& counts,
                                   const parallel_sizes& sizes,
                                   std::int32_t stage) noexcept {
  auto tensor = static_cast<std::uint64_t>(sizes.tensor);
  // A KV head is never cut: beyond that many ranks they are copied.
  auto kv_ranks = std::min(tensor, static_cast<std::uint64_t>(counts.kv_heads));
  auto layers = layers_of_stage(counts.layers(), sizes.pipeline, stage);
  auto before = counts.layers() / sizes.pipeline * stage
                + std::min<std::int64_t>(stage,
                                         counts.layers() % sizes.pipeline);
  // Dense layers come first.
  auto dense = std::clamp<std::int64_t>(counts.dense_layers - before, 0,
                                        layers);
  auto n = static_cast<std::uint64_t>(layers);
  auto n_dense = static_cast<std::uint64_t>(dense);
  auto n_expert = n - n_dense;
  rank_parameters x;
  x.dense = n
              * (divide_up(counts.query_output, tensor)
                 + divide_up(counts.key_value, kv_ranks) + counts.replicated)
            + n_dense * divide_up(counts.dense_mlp, tensor)
            + n_expert
                * (counts.router + divide_up(counts.shared_expert, tensor));
  auto experts = divide_up(static_cast<std::uint64_t>(counts.experts),
                           static_cast<std::uint64_t>(sizes.expert));
  x.expert = n_expert * experts
             * divide_up(counts.expert,
                         static_cast<std::uint64_t>(expert_tensor_size(sizes)));
  auto is_first = stage == 0;
  auto is_last = stage == sizes.pipeline - 1;
  if (is_first)
    x.dense += divide_up(counts.embedding, tensor);
  if (is_last)
    x.dense += counts.final_norm
               + divide_up(counts.tied && !is_first ? counts.embedding
                                                    : counts.head,
                           tensor);
  return x;
}

} // namespace troupe::planner
