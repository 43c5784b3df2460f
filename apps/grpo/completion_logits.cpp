// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/completion_logits.hpp"

#include <stdexcept>

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include "troupe/apps/torch/tensor_bridge.hpp"

namespace troupe::grpo {

at::Tensor completion_logits(const torch::transformer& model,
                             const model_settings& settings,
                             const completion_rows& rows) {
  auto p = settings.prompt_length;
  auto c = settings.completion_length;
  // The last token predicts nothing we ask about.
  auto seen = torch::to_torch(rows.tokens).narrow(1, 0, p + c - 1);
  auto logits = model.logits(seen, rows.padding, p - 1);
  return settings.temperature == 1 ? logits : logits.div(settings.temperature);
}

at::Tensor completion_tokens(const torch::transformer& model,
                             const model_settings& settings,
                             const completion_rows& rows) {
  return torch::to_torch(rows.tokens, model.settings().device)
    .narrow(1, settings.prompt_length, settings.completion_length);
}

void check_sequences(const tensor& tokens, const model_settings& settings) {
  if (tokens.extents()[1]
      != settings.prompt_length + settings.completion_length)
    throw std::invalid_argument{
      fmt::format("batch: tokens are {}, but prompts have {} and completions "
                  "{} tokens",
                  to_string(tokens), settings.prompt_length,
                  settings.completion_length)};
  settings.transformer.check_tokens(tokens.values<std::int64_t>(),
                                    tokens.extents()[1]);
}

} // namespace troupe::grpo
