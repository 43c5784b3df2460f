// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/reference.hpp"

#include <string>

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include "troupe/apps/grpo/completion_logits.hpp"
#include "troupe/apps/grpo/schema.hpp"
#include "troupe/apps/torch/checkpoint.hpp"
#include "troupe/apps/torch/losses.hpp"
#include "troupe/apps/torch/tensor_bridge.hpp"

namespace troupe::grpo {

void reference::setup(worker_context& ctx) {
  settings_ = read_model_settings(ctx.config());
  model_ = std::make_unique<placed_model>(ctx, settings_, false);
}

parameter_list reference::parameters() {
  return model_->parameters();
}

void reference::onload() {
  model_->memory().onload();
}

void reference::offload() {
  model_->memory().offload();
}

std::optional<std::uint64_t> reference::device_bytes() const {
  return model_->device_bytes();
}

// Nobody can bring these weights back: the trainer's have moved on.
void reference::save_checkpoint(checkpoint_writer& to) {
  batch content;
  model_->memory().run("save_checkpoint", [&] {
    torch::save_parameters(content, model_->net().parameters());
  });
  to.write("reference", std::move(content));
}

void reference::load_checkpoint(const checkpoint_reader& from) {
  auto content = from.read("reference");
  model_->memory().run("load_checkpoint", [&] {
    torch::load_parameters(content, model_->net().parameters());
  });
}

batch reference::score(const batch& rollout) {
  auto padding = require_ids(rollout, field::padding);
  completion_rows rows{require(rollout, field::tokens, dtype::int64, 2),
                       padding};
  check_sequences(rows.tokens, settings_);
  auto logprobs = model_->memory().run("score", [&] {
    at::NoGradGuard no_grad;
    auto& net = model_->net();
    return torch::to_host(
      torch::token_logprobs(completion_logits(net, settings_, rows),
                            completion_tokens(net, settings_, rows)));
  });
  auto result = rollout;
  result.set(std::string{field::reference_logprobs}, std::move(logprobs));
  return result;
}

std::vector<option_spec> reference_options() {
  return model_options();
}

} // namespace troupe::grpo
