// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/placed_model.hpp"

namespace troupe::grpo {

namespace {

/// What the configuration leaves open follows from the device.
dtype type_on(dlpack::device where, const model_settings& settings) {
  return settings.type.value_or(
    where.type == dlpack::device_type::cuda ? dtype::bfloat16 : dtype::float32);
}

} // namespace

placed_model::placed_model(const worker_context& ctx,
                           const model_settings& settings, bool trains)
  : stream_(torch::make_device_stream(ctx.device())),
    memory_(ctx.model(), *stream_, ctx.device_bytes_max()) {
  torch::transformer_settings place{ctx.device(),
                                    type_on(ctx.device(), settings), trains};
  stream_->run([&] {
    net_ = std::make_unique<torch::transformer>(settings.transformer,
                                                ctx.seed(), place);
  });
  memory_.add(net_->parameters().value_block());
  if (auto* gradients = net_->parameters().gradient_block())
    memory_.add(*gradients);
}

parameter_list placed_model::parameters() const {
  memory_.require("parameters");
  return net_->parameters().parameters();
}

std::optional<std::uint64_t> placed_model::device_bytes() const {
  if (stream_->device().type == dlpack::device_type::cpu)
    return std::nullopt;
  return memory_.figures().on_device;
}

} // namespace troupe::grpo
