// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/apps/grpo/model_options.hpp"
#include "troupe/core/batch.hpp"

namespace troupe::grpo {

/// Rows [begin, end) of sequences, and what predicts their completions.
struct completion_rows {
  /// int64 [rows, p + c].
  tensor tokens;
  /// One pad count a row.
  std::span<const std::int64_t> padding;
};

/// Logits [rows, c, vocab] at `temperature` of the positions that predict the
/// completion's c tokens. Differentiable unless a NoGradGuard is in force.
[[nodiscard]] at::Tensor completion_logits(const torch::transformer& model,
                                           const model_settings& settings,
                                           const completion_rows& rows);

/// The completion's tokens, int64 [rows, c], on the model's device. They index
/// logits there, so `check_sequences` has seen them.
[[nodiscard]] at::Tensor completion_tokens(const torch::transformer& model,
                                           const model_settings& settings,
                                           const completion_rows& rows);

/// Throws std::invalid_argument unless `tokens` has prompt_length +
/// completion_length columns, and all of them are in the vocabulary: the
/// completions too, whose last token no model reads.
void check_sequences(const tensor& tokens, const model_settings& settings);

} // namespace troupe::grpo
