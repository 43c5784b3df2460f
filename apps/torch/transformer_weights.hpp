// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "troupe/apps/torch/arena.hpp"
#include "troupe/apps/torch/transformer.hpp"

namespace troupe::torch {

/// How a transformer's parameters lie in its arena, and what a pass multiplies
/// with. For .cpp files: the header needs libtorch's.

struct block_weights {
  at::Tensor attention_norm_weight, attention_norm_bias;
  at::Tensor q_weight, q_bias, k_weight, k_bias, v_weight, v_bias;
  at::Tensor out_weight, out_bias;
  at::Tensor mlp_norm_weight, mlp_norm_bias;
  at::Tensor up_weight, up_bias, down_weight, down_bias;
};

/// Everything but the embeddings.
struct transformer_weights {
  std::vector<block_weights> blocks;
  at::Tensor norm_weight, norm_bias;
  at::Tensor head;
};

/// Names and shapes, in the order of the arena.
[[nodiscard]] std::vector<parameter_spec>
parameters_of(const transformer_config& config);

/// Embeddings ~ N(0, 0.1), norms 1, biases 0, matrices uniform in
/// +-1/sqrt(in). Larger embeddings drown what the blocks add to them: with
/// N(0, 1) the addition task takes three times the steps.
void initialize(arena& parameters, const std::vector<parameter_spec>& specs,
                std::uint64_t seed);

/// The parameters in `type`, the head rounded to it and then in float32. No
/// copies of what has its type already; else one of each block. Differentiable
/// if the arena trains and no NoGradGuard is in force.
[[nodiscard]] transformer_weights weights_in(dtype type,
                                             const arena& parameters,
                                             const transformer_config& config);

} // namespace troupe::torch
