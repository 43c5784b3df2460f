// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/model_memory.hpp"

#include <algorithm>

namespace troupe::planner {

namespace {

/// Bytes as a float until the end: products of sizes from outside must not
/// wrap. More than this is "more than any device has".
std::uint64_t to_bytes(double x) {
  constexpr double most = 1e18;
  return static_cast<std::uint64_t>(std::clamp(x, 0.0, most));
}

double bytes_of(dtype x) {
  return static_cast<double>(size_of(x));
}

/// Bytes of optimizer states for each parameter: Adam keeps two moments in
/// float32, and a float32 master copy if the weights are narrower.
double optimizer_bytes(const model_profile& model) {
  auto master = size_of(model.weights) < 4 ? 4.0 : 0.0;
  switch (model.optimizer) {
    case optimizer_kind::adam: return master + 8;
    case optimizer_kind::sgd: return master;
    case optimizer_kind::none: break;
  }
  return 0;
}

struct layer_widths {
  double hidden;
  double query;
  double kv;
  /// Columns of the MLP that one token meets, times the matrices that keep an
  /// output.
  double mlp;
  double heads;
};

layer_widths widths_of(const model_shape& x) {
  auto wide = [](std::int64_t value) { return static_cast<double>(value); };
  auto head_dim = x.head_dim > 0
                    ? wide(x.head_dim)
                    : wide(x.hidden_size) / wide(x.num_attention_heads);
  auto kv_heads = wide(x.num_key_value_heads > 0 ? x.num_key_value_heads
                                                 : x.num_attention_heads);
  auto mlp = wide(x.intermediate_size);
  if (x.num_experts > 0) {
    auto expert = wide(x.moe_intermediate_size > 0 ? x.moe_intermediate_size
                                                   : x.intermediate_size);
    auto routed = expert * wide(x.num_experts_per_tok)
                  + wide(x.shared_expert_intermediate_size);
    mlp = x.first_k_dense_replace > 0 ? std::max(mlp, routed) : routed;
  }
  return {wide(x.hidden_size), wide(x.num_attention_heads) * head_dim,
          kv_heads * head_dim, mlp * (x.gated_mlp ? 3 : 2),
          wide(x.num_attention_heads)};
}

/// Bytes that one layer keeps for each token of a sequence of `tokens`, on one
/// of `tensor` ranks. For GPT-3's shape this is the s*b*h*(10 + 24/t + 5as/ht)
/// of Korthikanti et al., "Reducing Activation Recomputation", 2022.
double layer_bytes(const layer_widths& w, double tokens, double tensor,
                   recompute_policy policy) {
  if (policy == recompute_policy::full)
    return 2 * w.hidden;
  auto bytes = 10 * w.hidden + 2 * (2 * w.query + 2 * w.kv + w.mlp) / tensor;
  if (policy == recompute_policy::none)
    bytes += 5 * w.heads * tokens / tensor;
  return bytes;
}

double training_activations(const model_profile& model,
                            const parallel_sizes& sizes, std::int32_t stage) {
  if (!model.shape)
    return 0;
  auto w = widths_of(*model.shape);
  auto tensor = static_cast<double>(sizes.tensor);
  auto tokens = static_cast<double>(model.sequence_tokens) / sizes.context;
  auto batch = static_cast<double>(model.micro_batch);
  auto layers = static_cast<double>(
    layers_of_stage(model.parameters.layers(), sizes.pipeline, stage));
  // 1F1B: stage i holds the micro-batches that the stages behind it work on.
  auto in_flight = static_cast<double>(sizes.pipeline - stage);
  auto sequence = static_cast<double>(model.sequence_tokens);
  auto kept = layer_bytes(w, sequence, tensor, model.recompute);
  auto bytes = tokens * batch * layers * in_flight * kept;
  if (model.recompute == recompute_policy::full)
    // One layer is there in full while it is done again.
    bytes += tokens * batch
             * layer_bytes(w, sequence, tensor, recompute_policy::selective);
  if (stage == sizes.pipeline - 1 && !model.shape->scalar_head)
    // Logits and their gradient in float32.
    bytes += 8 * tokens * batch * static_cast<double>(model.shape->vocab_size)
             / tensor;
  return bytes;
}

/// That it generates at a time.
double sequences_of_rank(const model_profile& model,
                         const parallel_sizes& sizes) {
  auto copies = std::int64_t{sizes.data} * sizes.context;
  return static_cast<double>((model.concurrent_sequences + copies - 1)
                             / copies);
}

double forward_activations(const model_profile& model,
                           const parallel_sizes& sizes, std::int32_t stage) {
  if (!model.shape)
    return 0;
  auto w = widths_of(*model.shape);
  auto tensor = static_cast<double>(sizes.tensor);
  auto tokens = static_cast<double>(model.sequence_tokens) / sizes.context
                * static_cast<double>(model.micro_batch);
  auto bytes = tokens * layer_bytes(w, 0, tensor, recompute_policy::selective);
  if (stage == sizes.pipeline - 1 && !model.shape->scalar_head) {
    // A generator needs the logits of the last tokens, a scorer those of all.
    // It draws from them in float64: probabilities and their sums.
    auto generates = model.role == model_role::generate;
    auto rows = generates ? sequences_of_rank(model, sizes) : tokens;
    bytes += (generates ? 4 + 2 * 8 : 4) * rows
             * static_cast<double>(model.shape->vocab_size) / tensor;
  }
  return bytes;
}

double kv_cache_bytes(const model_profile& model, const parallel_sizes& sizes,
                      std::int32_t stage) {
  if (!model.shape || model.role != model_role::generate)
    return 0;
  auto w = widths_of(*model.shape);
  auto kv_ranks = std::min<std::int64_t>(sizes.tensor,
                                         model.parameters.kv_heads);
  auto layers = static_cast<double>(
    layers_of_stage(model.parameters.layers(), sizes.pipeline, stage));
  auto sequences = sequences_of_rank(model, sizes);
  return 2 * w.kv / static_cast<double>(kv_ranks) * bytes_of(model.kv_cache)
         * layers * sequences * static_cast<double>(model.sequence_tokens);
}

memory_parts persistent_memory(const model_profile& model,
                               const parallel_sizes& sizes,
                               std::int32_t stage) {
  auto held = parameters_of_rank(model.parameters, sizes, stage);
  auto dense = static_cast<double>(held.dense);
  auto expert = static_cast<double>(held.expert);
  memory_parts x;
  x.weights = to_bytes((dense + expert) * bytes_of(model.weights));
  if (model.role == model_role::train) {
    x.gradients = to_bytes((dense + expert) * bytes_of(model.gradients));
    if (model.distributed_optimizer) {
      auto copies = static_cast<double>(sizes.data) * sizes.context;
      dense /= copies;
      expert /= std::max(1.0, copies * sizes.tensor
                                / (static_cast<double>(sizes.expert)
                                   * expert_tensor_size(sizes)));
    }
    x.optimizer = to_bytes((dense + expert) * optimizer_bytes(model));
  }
  x.kv_cache = to_bytes(kv_cache_bytes(model, sizes, stage));
  return x;
}

} // namespace

std::string_view to_string(phase x) noexcept {
  switch (x) {
    case phase::generation: return "generation";
    case phase::training: return "training";
    case phase::sync: return "sync";
  }
  return "unknown";
}

bool is_active(model_role role, phase when) noexcept {
  switch (when) {
    case phase::generation: return role != model_role::train;
    case phase::training: return role == model_role::train;
    case phase::sync: return true;
  }
  return false;
}

memory_parts active_memory(const model_profile& model,
                           const parallel_sizes& sizes, std::int32_t stage,
                           phase when, const memory_settings& settings) {
  if (!is_active(model.role, when))
    return idle_memory(model, sizes, stage);
  auto x = persistent_memory(model, sizes, stage);
  switch (when) {
    case phase::generation:
      x.activations = to_bytes(forward_activations(model, sizes, stage));
      break;
    case phase::training:
      x.activations = to_bytes(training_activations(model, sizes, stage));
      break;
    case phase::sync: {
      // Only weights move; what was offloaded besides stays away.
      if (model.offload) {
        auto weights = x.weights;
        x = {};
        x.weights = weights;
      }
      auto buckets = static_cast<double>(settings.bucket_bytes)
                     * settings.buckets_in_flight;
      x.staging = std::min(x.weights, to_bytes(buckets));
      break;
    }
  }
  return x;
}

memory_parts idle_memory(const model_profile& model,
                         const parallel_sizes& sizes, std::int32_t stage) {
  return model.offload ? memory_parts{}
                       : persistent_memory(model, sizes, stage);
}

} // namespace troupe::planner
