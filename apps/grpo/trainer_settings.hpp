// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "troupe/actors/config/options.hpp"
#include "troupe/apps/torch/adamw.hpp"
#include "troupe/apps/torch/losses.hpp"

namespace troupe::grpo {

/// policy_trainer's options, read and checked.
struct trainer_settings {
  torch::adamw_settings warm_optimizer;
  /// Counts optimizer steps.
  torch::learning_rate_schedule warm_rate;
  std::int64_t warm_batch = 1;

  torch::adamw_settings optimizer;
  /// Counts train_step calls.
  torch::learning_rate_schedule rate;
  std::int64_t minibatches = 1;
  torch::policy_settings loss;

  double gradient_clip = 1;
};

/// Throws std::invalid_argument that names the option with a senseless value.
[[nodiscard]] trainer_settings read_trainer_settings(const options& config);

} // namespace troupe::grpo
