// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "troupe/actors/model/module.hpp"
#include "troupe/apps/grpo/model_options.hpp"
#include "troupe/apps/grpo/placed_model.hpp"

namespace troupe::grpo {

/// The model that answers. Receives its weights from policy_trainer.
class policy : public module {
public:
  void setup(worker_context& ctx) override;
  [[nodiscard]] parameter_list parameters() override;
  void onload() override;
  void offload() override;
  [[nodiscard]] std::optional<std::uint64_t> device_bytes() const override;

  /// Draws `samples_per_prompt` completions of each prompt. Needs `prompt`,
  /// `padding`, `answer`, `group` with n rows; returns m = n x samples rows of
  /// `tokens`, `mask`, `old_logprobs` and, repeated, `padding`, `answer` and
  /// `group`.
  [[nodiscard]] batch generate(const batch& prompts);

  /// Answers each prompt greedily: needs `prompt`, `padding` and `answer`,
  /// adds `exact` and `tokens`, one row a prompt.
  [[nodiscard]] batch evaluate(const batch& questions);

private:
  worker_context* ctx_ = nullptr;
  model_settings settings_;
  std::int64_t samples_ = 1;
  std::unique_ptr<placed_model> model_;
};

/// model_options() and samples_per_prompt.
[[nodiscard]] std::vector<option_spec> policy_options();

} // namespace troupe::grpo
