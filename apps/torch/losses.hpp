// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/apps/torch/fwd.hpp"

namespace troupe::torch {

/// Losses over tokens. Shapes: n rows, t positions, v vocabulary entries.
/// `mask` is float32 [n, t], 1 where a token counts. Sums are over this rank's
/// tokens; the caller divides by the tokens of the whole batch, all ranks
/// together, which makes data-parallel gradients equal a single rank's.

/// log softmax(logits)[target]: logits [n, t, v], targets int64 [n, t] ->
/// [n, t]. Differentiable.
[[nodiscard]] at::Tensor token_logprobs(const at::Tensor& logits,
                                        const at::Tensor& targets);

/// Sum of -log p(target) over counted tokens: a scalar. Differentiable.
[[nodiscard]] at::Tensor cross_entropy_sum(const at::Tensor& logits,
                                           const at::Tensor& targets,
                                           const at::Tensor& mask);

/// Sum over counted tokens of the entropy of softmax(logits): a scalar, without
/// gradient.
[[nodiscard]] double entropy_sum(const at::Tensor& logits,
                                 const at::Tensor& mask);

/// k3 of http://joschu.net/blog/kl-approx.html: exp(r) - r - 1 with r =
/// reference - logprob, an unbiased and never negative estimate of KL(policy ||
/// reference) for tokens drawn from the policy. Differentiable; [n, t].
[[nodiscard]] at::Tensor k3_divergence(const at::Tensor& logprobs,
                                       const at::Tensor& reference);

struct policy_settings {
  /// The probability ratio counts inside [1 - clip, 1 + clip].
  double clip = 0.2;
  /// Weight of the divergence from the reference.
  double kl_weight = 0.02;
};

/// What `policy_loss_sum` found; sums over counted tokens.
struct policy_terms {
  double objective = 0;
  double kl = 0;
  /// Tokens whose ratio lay outside the clip range.
  double clipped = 0;
};

/// Sum over counted tokens of -min(ratio A, clip(ratio) A) + kl_weight * k3
/// (Schulman et al. 2017, eq. 7; Shao et al. 2024, eq. 3, token mean): a
/// scalar. `old` are the logprobs under the policy that drew the tokens,
/// `advantages` [n] hold for all tokens of a row. Differentiable in `logprobs`.
[[nodiscard]] at::Tensor
policy_loss_sum(const at::Tensor& logprobs, const at::Tensor& old,
                const at::Tensor& reference, const at::Tensor& advantages,
                const at::Tensor& mask, const policy_settings& settings,
                policy_terms& terms);

} // namespace troupe::torch
