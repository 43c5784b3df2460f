// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/reference.hpp"

#include <string>

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include "troupe/actors/model/parameter_copy.hpp"
#include "troupe/apps/grpo/completion_logits.hpp"
#include "troupe/apps/grpo/schema.hpp"
#include "troupe/apps/torch/losses.hpp"
#include "troupe/apps/torch/tensor_bridge.hpp"

namespace troupe::grpo {

void reference::setup(worker_context& ctx) {
  settings_ = read_model_settings(ctx.config());
  model_ = make_transformer(ctx, settings_);
}

parameter_list reference::parameters() {
  return model_->parameters().parameters();
}

// Nobody can bring these weights back: the trainer's have moved on.
void reference::save_checkpoint(checkpoint_writer& to) {
  batch content;
  add_parameters(content, parameters());
  to.write("reference", std::move(content));
}

void reference::load_checkpoint(const checkpoint_reader& from) {
  restore_parameters(from.read("reference"), parameters());
}

batch reference::score(const batch& rollout) {
  at::NoGradGuard no_grad;
  auto padding = require_ids(rollout, field::padding);
  completion_rows rows{require(rollout, field::tokens, dtype::int64, 2),
                       padding};
  check_sequences(rows.tokens, settings_);
  auto logprobs = torch::token_logprobs(completion_logits(*model_, settings_,
                                                          rows),
                                        completion_tokens(settings_, rows));
  auto result = rollout;
  result.set(std::string{field::reference_logprobs},
             torch::from_torch(logprobs.contiguous()).value());
  return result;
}

std::vector<option_spec> reference_options() {
  return model_options();
}

} // namespace troupe::grpo
