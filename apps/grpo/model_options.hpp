// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "troupe/actors/config/options.hpp"
#include "troupe/apps/torch/transformer.hpp"
#include "troupe/core/dtype.hpp"

namespace troupe::grpo {

/// The options that policy_trainer, policy and reference share; the three
/// models must be given the same values, because weights move among them:
/// vocab_size, prompt_length, completion_length, layers, width, heads,
/// temperature. The first three follow from the dataset; their defaults fit
/// two-digit addition. Each model may have its own dtype.
[[nodiscard]] std::vector<option_spec> model_options();

struct model_settings {
  torch::transformer_config transformer;
  std::int64_t prompt_length = 0;
  std::int64_t completion_length = 0;
  double temperature = 1;
  /// What the model computes in; nothing: float32 on the CPU, bfloat16 on a
  /// CUDA device.
  std::optional<dtype> type;
};

/// Reads them; throws std::invalid_argument for values that make no sense.
[[nodiscard]] model_settings read_model_settings(const options& config);

} // namespace troupe::grpo
