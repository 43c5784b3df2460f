// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "troupe/core/dtype.hpp"
#include "troupe/planner/model_shape.hpp"
#include "troupe/planner/parallel_layout.hpp"

namespace troupe::planner {

/// What a model does in an episode.
enum class model_role : std::uint8_t {
  /// Writes tokens, one after the other.
  generate,
  /// One forward pass over given tokens: reference, reward, value.
  score,
  /// Forward, backward, update.
  train,
};

enum class optimizer_kind : std::uint8_t { none, sgd, adam };

/// What is kept of the forward pass until the backward pass.
enum class recompute_policy : std::uint8_t {
  /// Everything, attention scores included.
  none,
  /// Everything but attention scores (also: flash attention).
  selective,
  /// The input of each layer.
  full,
};

/// What memory fit and prediction know of one model beyond its placement.
struct model_profile {
  std::string name;
  parameter_counts parameters;
  /// Without it, activations and KV cache count as nothing.
  std::optional<model_shape> shape;
  model_role role = model_role::score;
  /// How the ranks of a replica are numbered.
  rank_order order = rank_order::megatron;

  dtype weights = dtype::bfloat16;
  dtype gradients = dtype::float32;
  dtype kv_cache = dtype::bfloat16;
  optimizer_kind optimizer = optimizer_kind::adam;
  /// Optimizer states are cut across the data copies (ZeRO-1).
  bool distributed_optimizer = false;
  /// Everything it holds leaves the device while it has nothing to do.
  bool offload = false;
  recompute_policy recompute = recompute_policy::selective;

  /// Sequences of one forward pass of one data copy.
  std::int32_t micro_batch = 1;
  /// Prompt and response together.
  std::int64_t sequence_tokens = 2048;
  /// Sequences whose KV cache one replica holds at a time.
  std::int64_t concurrent_sequences = 64;

  bool operator==(const model_profile&) const = default;
};

/// Null if there is none of that name.
[[nodiscard]] inline const model_profile*
find_profile(std::span<const model_profile> profiles,
             std::string_view name) noexcept {
  for (const auto& x : profiles)
    if (x.name == name)
      return &x;
  return nullptr;
}

} // namespace troupe::planner
