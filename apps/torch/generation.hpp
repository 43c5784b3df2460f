// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <random>
#include <span>

#include "troupe/apps/torch/transformer.hpp"
#include "troupe/core/tensor.hpp"

namespace troupe::torch {

struct generation_settings {
  /// Most tokens a completion has, the stop token included.
  std::int64_t max_tokens = 0;
  /// Completions of each prompt.
  std::int64_t samples = 1;
  /// Above 0; logprobs are those at this temperature.
  double temperature = 1;
  /// Ends a completion and belongs to it.
  std::int64_t stop_token = 0;
  /// Stands behind the stop token.
  std::int64_t pad_token = 0;
  /// Steps between two looks at whether all rows have ended: for each the host
  /// waits for the device. Results do not depend on it. 0: 1 on the CPU, else 8.
  std::int64_t look_every = 0;
};

/// Completions of m = prompts x samples rows, the samples of a prompt next to
/// each other; t = max_tokens columns.
struct completions {
  /// int64 [m, t].
  tensor tokens;
  /// float32 [m, t]: logprob of each token under the distribution it was drawn
  /// from; 0 behind the stop token.
  tensor logprobs;
  /// float32 [m, t]: 1 for the tokens up to and including the stop token.
  tensor mask;
  /// int64 [m]: tokens that count.
  tensor lengths;
};

/// Completes `prompts` int64 [n, p], padded on the left by `padding` tokens a
/// row (empty: none), with a KV cache. Draws one uniform number a row and step
/// from `generator`, finished rows included, so a row's numbers do not depend
/// on when others end. A null generator decodes greedily.
///
/// Numbers are drawn here and go to the model's device at once, tokens come
/// back at the end: between two looks the host waits for nothing.
///
/// Prompts and results are in this process's memory, wherever the model is.
///
/// Throws std::invalid_argument for settings or shapes that make no sense.
[[nodiscard]] completions generate(const transformer& model,
                                   const tensor& prompts,
                                   std::span<const std::int64_t> padding,
                                   const generation_settings& settings,
                                   std::mt19937_64* generator);

} // namespace troupe::torch
