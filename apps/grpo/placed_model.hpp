// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "troupe/actors/model/worker_context.hpp"
#include "troupe/apps/grpo/model_options.hpp"
#include "troupe/apps/torch/device_stream.hpp"
#include "troupe/apps/torch/offload.hpp"
#include "troupe/apps/torch/transformer.hpp"

namespace troupe::grpo {

/// A module's transformer on its worker's device, and the frame around what the
/// module does with it: each function runs in `memory().run`.
class placed_model {
public:
  /// Held to `worker_context::device_bytes_max`; throws std::runtime_error if
  /// the model alone is more. Initial weights follow from the run's seed: equal in all models and on all
  /// ranks. A model that `trains` has gradients.
  placed_model(const worker_context& ctx, const model_settings& settings,
               bool trains);

  [[nodiscard]] torch::transformer& net() noexcept { return *net_; }

  [[nodiscard]] torch::device_stream& stream() noexcept { return *stream_; }

  [[nodiscard]] torch::offloader& memory() noexcept { return memory_; }

  /// For `module::parameters`; throws std::logic_error while offloaded.
  [[nodiscard]] parameter_list parameters() const;

  /// For `module::device_bytes`: what libtorch's pool holds for the model, what
  /// it keeps for later included. Nothing on the CPU.
  [[nodiscard]] std::optional<std::uint64_t> device_bytes() const;

private:
  // Memory goes back to the stream's pool before that goes.
  std::unique_ptr<torch::device_stream> stream_;
  std::unique_ptr<torch::transformer> net_;
  torch::offloader memory_;
};

} // namespace troupe::grpo
