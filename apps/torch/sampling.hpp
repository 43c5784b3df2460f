// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/apps/torch/fwd.hpp"

namespace troupe::torch {

/// One token of each row of `logits` float32 [rows, vocab], on their device,
/// without a look from the host. Written to `tokens` int64 [rows], and to
/// `logprobs` float64 [rows] the natural logarithm of the token's probability
/// under the distribution it was drawn from. Tokens are in the vocabulary
/// whatever the logits are; of logits that are NaN or +infinity, or all
/// -infinity, the logprob is not finite, which `check_logprob` refuses later.

/// Draws from softmax(logits / temperature) by inverting the cumulative
/// distribution at `u` float64 [rows] in [0, 1). Sums in double. On the CPU the
/// same logits and `u` always give the same token; on a GPU, where sums of parts
/// may be taken in any order, up to rounding at the edge of two. `temperature`
/// > 0. `room` is of `room_to_draw` and overwritten.
void draw(const at::Tensor& logits, double temperature, const at::Tensor& u,
          const at::Tensor& room, at::Tensor tokens, at::Tensor logprobs);

/// For all draws from logits of this shape, 16 bytes for each: a host that asks
/// the system for such blocks in each step takes longer for that than for
/// drawing.
[[nodiscard]] at::Tensor room_to_draw(const at::Tensor& logits);

/// The most likely token, the first one among equals; its logprob is the one
/// at temperature 1.
void most_likely(const at::Tensor& logits, at::Tensor tokens,
                 at::Tensor logprobs);

/// Throws std::runtime_error that says what to do unless it is finite.
void check_logprob(double logprob);

} // namespace troupe::torch
