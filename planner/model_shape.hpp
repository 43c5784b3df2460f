// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "troupe/core/error.hpp"
#include "troupe/planner/parallel_sizes.hpp"

namespace troupe::planner {

/// The sizes of a decoder-only transformer, under the names of a Hugging Face
/// `config.json`. What is 0 is absent or follows from the rest as said.
struct model_shape {
  std::int64_t hidden_size = 0;
  std::int64_t num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0;
  /// 0: as many as attention heads.
  std::int64_t num_key_value_heads = 0;
  /// 0: hidden_size / num_attention_heads.
  std::int64_t head_dim = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t vocab_size = 0;
  bool tie_word_embeddings = false;

  /// 0: a dense model.
  std::int64_t num_experts = 0;
  std::int64_t num_experts_per_tok = 1;
  /// 0: intermediate_size.
  std::int64_t moe_intermediate_size = 0;
  std::int64_t shared_expert_intermediate_size = 0;
  /// This many layers at the front stay dense.
  std::int64_t first_k_dense_replace = 0;

  // Conventions of the architecture, see `apply_architecture`.
  /// The MLP has gate, up and down matrices; else up and down.
  bool gated_mlp = true;
  bool qkv_bias = false;
  bool output_bias = false;
  bool mlp_bias = false;
  /// LayerNorm (weight and bias) instead of RMSNorm.
  bool norm_bias = false;
  /// Queries and keys have a norm of head_dim weights each.
  bool qk_norm = false;
  /// A gate of hidden_size weights scales the shared expert.
  bool shared_expert_gate = false;
  /// Learned positions of this many tokens; 0: rotary.
  std::int64_t learned_positions = 0;
  /// The output is one number (reward, value) instead of a vocabulary.
  bool scalar_head = false;

  bool operator==(const model_shape&) const = default;
};

/// Sets the conventions of a Hugging Face `model_type`: `"llama"`,
/// `"mistral"`, `"mixtral"`, `"qwen2"`, `"qwen2_moe"`, `"qwen3"`,
/// `"qwen3_moe"`, `"gpt2"`. False, and nothing changed, for any other: the
/// counts are then those of a Llama with these sizes.
bool apply_architecture(model_shape& shape, std::string_view model_type);

/// Parameters by the way they are cut across ranks. All counts of one kind of
/// layer are for one layer.
struct parameter_counts {
  /// Token and position embeddings; cut by tensor; first stage.
  std::uint64_t embedding = 0;
  /// Query and output matrices; cut by tensor.
  std::uint64_t query_output = 0;
  /// Key and value matrices; cut by tensor up to the number of KV heads.
  std::uint64_t key_value = 0;
  /// Norms and biases of outputs; a copy on each rank.
  std::uint64_t replicated = 0;
  /// The dense MLP of a dense layer; cut by tensor.
  std::uint64_t dense_mlp = 0;
  /// Router of a layer with experts; a copy on each rank.
  std::uint64_t router = 0;
  /// One expert; cut by expert tensor.
  std::uint64_t expert = 0;
  /// Shared expert of a layer with experts; cut by tensor.
  std::uint64_t shared_expert = 0;
  /// After the last layer; a copy on each rank of the last stage.
  std::uint64_t final_norm = 0;
  /// The output matrix, 0 if tied to the embedding; cut by tensor.
  std::uint64_t head = 0;

  std::int64_t dense_layers = 0;
  std::int64_t expert_layers = 0;
  std::int64_t experts = 0;
  std::int64_t experts_per_token = 0;
  std::int64_t kv_heads = 1;
  bool tied = false;

  /// Of the whole model.
  [[nodiscard]] std::uint64_t total() const noexcept;

  /// That one token meets: total() without the experts it is not routed to.
  [[nodiscard]] std::uint64_t active() const noexcept;

  [[nodiscard]] std::int64_t layers() const noexcept {
    return dense_layers + expert_layers;
  }

  bool operator==(const parameter_counts&) const = default;
};

/// Counts the parameters of `shape`. Fails with `errc::invalid` if a size is
/// missing, negative or implausibly large (more than 2^31 in one direction or
/// 2^50 parameters), or heads do not divide. O(1).
[[nodiscard]] result<parameter_counts>
count_parameters(const model_shape& shape);

/// A model of which only the number of parameters is known: all of it is cut
/// evenly by tensor and pipeline. Fails with `errc::invalid` beyond 2^50.
[[nodiscard]] result<parameter_counts>
plain_parameters(std::int64_t parameters, std::int64_t layers = 1);

/// What one rank holds: parameters that its data copies hold too, and
/// parameters of experts, which fewer ranks copy.
struct rank_parameters {
  std::uint64_t dense = 0;
  std::uint64_t expert = 0;

  [[nodiscard]] std::uint64_t total() const noexcept { return dense + expert; }

  bool operator==(const rank_parameters&) const = default;
};

/// Layers of pipeline stage `stage`: the front stages take one more if they do
/// not divide.
[[nodiscard]] std::int64_t layers_of_stage(std::int64_t layers,
                                           std::int32_t pipeline,
                                           std::int32_t stage) noexcept;

/// Ranks that share one expert's matrices: `tensor` if tensor x expert divides
/// a stage (Megatron's default), else 1.
[[nodiscard]] std::int32_t
expert_tensor_size(const parallel_sizes& sizes) noexcept;

/// What the fullest rank of a stage holds under `sizes`, all of which must be
/// at least 1. A tied output matrix is held again by the last stage if that is
/// not the first. O(1).
[[nodiscard]] rank_parameters parameters_of_rank(const parameter_counts& counts,
                                                 const parallel_sizes& sizes,
                                                 std::int32_t stage) noexcept;

} // namespace troupe::planner
