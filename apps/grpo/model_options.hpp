// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "troupe/actors/config/options.hpp"
#include "troupe/actors/model/worker_context.hpp"
#include "troupe/apps/torch/transformer.hpp"

namespace troupe::grpo {

/// The options that policy_trainer, policy and reference share; the three
/// models must be given the same values, because weights move among them:
/// vocab_size, prompt_length, completion_length, layers, width, heads,
/// temperature. The first three follow from the dataset; their defaults fit
/// two-digit addition.
[[nodiscard]] std::vector<option_spec> model_options();

struct model_settings {
  torch::transformer_config transformer;
  std::int64_t prompt_length = 0;
  std::int64_t completion_length = 0;
  double temperature = 1;
};

/// Reads them; throws std::invalid_argument for values that make no sense.
[[nodiscard]] model_settings read_model_settings(const options& config);

/// A transformer with initial weights from the run's seed: equal in all models
/// and on all ranks.
[[nodiscard]] std::unique_ptr<torch::transformer>
make_transformer(const worker_context& ctx, const model_settings& settings);

} // namespace troupe::grpo
