// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "troupe/actors/model/module.hpp"
#include "troupe/apps/grpo/model_options.hpp"

namespace troupe::grpo {

/// The model that learns. Data-parallel ranks hold equal weights: each computes
/// the gradients of its rows, their sums are all-reduced, and every rank takes
/// the same step from the same bits. Every rank makes the same number of calls;
/// rows may be spread over the ranks in any way.
class policy_trainer : public module {
public:
  policy_trainer();
  ~policy_trainer() override;

  void setup(worker_context& ctx) override;
  /// The float32 parameters, whatever the model computes in.
  [[nodiscard]] parameter_list parameters() override;
  void onload() override;
  void offload() override;
  [[nodiscard]] std::optional<std::uint64_t> device_bytes() const override;

  /// Supervised steps on right answers: needs `prompt`, `padding` and `answer`.
  /// Takes one optimizer step for each `warm_start_batch` rows, all ranks
  /// together. Returns metadata alone: loss, grad_norm, learning_rate, tokens,
  /// steps.
  batch warm_start(const batch& examples);

  /// One GRPO step: needs `tokens`, `padding`, `mask`, `old_logprobs`,
  /// `reference_logprobs` and `advantage`. Goes once over the rows in
  /// `minibatches` optimizer steps; each loss is the mean over all ranks'
  /// tokens. Returns metadata alone: see `metric` in schema.hpp.
  batch train_step(const batch& experience);

  /// Parameters and both optimizers.
  void save_checkpoint(checkpoint_writer& to) override;
  void load_checkpoint(const checkpoint_reader& from) override;

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

/// model_options() and those of the two optimizers and the loss.
[[nodiscard]] std::vector<option_spec> policy_trainer_options();

} // namespace troupe::grpo
