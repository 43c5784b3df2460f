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

/// The policy as it was after the warm start. Receives its weights by one sync
/// from policy_trainer and keeps them.
class reference : public module {
public:
  void setup(worker_context& ctx) override;
  [[nodiscard]] parameter_list parameters() override;
  void onload() override;
  void offload() override;
  [[nodiscard]] std::optional<std::uint64_t> device_bytes() const override;
  void save_checkpoint(checkpoint_writer& to) override;
  void load_checkpoint(const checkpoint_reader& from) override;

  /// Needs `tokens` and `padding`; adds `reference_logprobs`. Tokens that do
  /// not count (`mask` 0) get the logprob they have, so the mask still rules.
  [[nodiscard]] batch score(const batch& rollout);

private:
  model_settings settings_;
  std::unique_ptr<placed_model> model_;
};

/// model_options().
[[nodiscard]] std::vector<option_spec> reference_options();

} // namespace troupe::grpo
