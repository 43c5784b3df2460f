// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

namespace troupe::torch {

struct drawn_token {
  std::int64_t token = 0;
  /// Natural logarithm of the token's probability under the distribution it
  /// was drawn from.
  float logprob = 0;
};

/// Draws from softmax(logits / temperature) by inverting the cumulative
/// distribution at `u` in [0, 1). Sums in double, in index order, so that the
/// same logits and `u` always give the same token. `temperature` > 0. Throws
/// std::runtime_error for logits that are NaN or +infinity, or all -infinity.
[[nodiscard]] drawn_token draw(std::span<const float> logits,
                               double temperature, double u);

/// The most likely token, the first one among equals; its logprob is the one
/// at temperature 1. Throws likewise.
[[nodiscard]] drawn_token most_likely(std::span<const float> logits);

} // namespace troupe::torch
