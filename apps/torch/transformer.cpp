// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/transformer.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <fmt/format.h>

#include "troupe/apps/torch/attention.hpp"
#include "troupe/apps/torch/device.hpp"
#include "troupe/apps/torch/tensor_bridge.hpp"
#include "troupe/apps/torch/transformer_weights.hpp"

namespace troupe::torch {

void transformer_config::check() const {
  auto positive = [](std::string_view name, std::int64_t value) {
    if (value < 1)
      throw std::invalid_argument{
        fmt::format("transformer: {} is {} and must be at least 1", name,
                    value)};
  };
  positive("vocab_size", vocab_size);
  positive("context", context);
  positive("layers", layers);
  positive("width", width);
  positive("heads", heads);
  if (width % heads != 0)
    throw std::invalid_argument{
      fmt::format("transformer: width {} is not a multiple of heads {}", width,
                  heads)};
}

void transformer_config::check_tokens(std::span<const std::int64_t> tokens,
                                      std::int64_t columns) const {
  auto bad = std::ranges::find_if(tokens, [this](auto id) {
    return id < 0 || id >= vocab_size;
  });
  if (bad == tokens.end())
    return;
  auto at = bad - tokens.begin();
  throw std::invalid_argument{
    fmt::format("transformer: row {} has token {} at position {}, but the "
                "vocabulary has the tokens 0 to {}: encode the data with the "
                "model's own tokenizer, or set vocab_size to what it needs",
                at / columns, *bad, at % columns, vocab_size - 1)};
}

namespace {

// -- padding ------------------------------------------------------------------

bool all_zero(std::span<const std::int64_t> xs) {
  return std::ranges::all_of(xs, [](auto x) { return x == 0; });
}

/// int64 [rows] on `where`; undefined if no row is padded. Counts below zero
/// would ask for positions behind the last.
at::Tensor resident_padding(std::span<const std::int64_t> counts,
                            dlpack::device where) {
  if (all_zero(counts))
    return {};
  for (std::size_t row = 0; row < counts.size(); ++row)
    if (counts[row] < 0)
      throw std::invalid_argument{
        fmt::format("transformer: row {} has {} pad tokens, which must not be "
                    "negative",
                    row, counts[row])};
  return to_torch(tensor::copy_of(counts, {std::ssize(counts)}), where);
}

} // namespace

// -- cache --------------------------------------------------------------------

struct kv_cache::impl {
  std::int64_t rows = 0;
  std::int64_t capacity = 0;
  std::int64_t length = 0;
  /// int64 [rows], where keys and values are; undefined if no row is padded.
  at::Tensor padding;
  /// A layer's keys and values: [rows, heads, capacity, width / heads].
  /// None before the first use, which knows device and type.
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  /// In the types that passes need, made once for all tokens. They belong to
  /// the function that fills the cache: copies are gone before an offload or a
  /// sync.
  transformer_weights weights;

  void allocate(const transformer_config& config, at::TensorOptions options) {
    if (padding.defined())
      padding = padding.to(options.device());
    for (std::int64_t i = 0; i < config.layers; ++i)
      for (auto* blocks : {&keys, &values})
        blocks->push_back(
          at::empty({rows, config.heads, capacity, config.width / config.heads},
                    options));
  }
};

kv_cache::kv_cache(const transformer_config&, std::int64_t capacity,
                   std::vector<std::int64_t> padding)
  : impl_(std::make_unique<impl>()) {
  impl_->rows = std::ssize(padding);
  impl_->capacity = capacity;
  impl_->padding = resident_padding(padding, {});
}

kv_cache::~kv_cache() = default;
kv_cache::kv_cache(kv_cache&&) noexcept = default;
kv_cache& kv_cache::operator=(kv_cache&&) noexcept = default;

std::int64_t kv_cache::length() const noexcept {
  return impl_->length;
}

std::int64_t kv_cache::rows() const noexcept {
  return impl_->rows;
}

void kv_cache::repeat_rows(std::int64_t times) {
  at::NoGradGuard no_grad;
  impl_->rows *= times;
  for (auto* blocks : {&impl_->keys, &impl_->values})
    for (auto& x : *blocks)
      x = x.repeat_interleave(times, 0);
  if (impl_->padding.defined())
    impl_->padding = impl_->padding.repeat_interleave(times, 0);
}

// -- model --------------------------------------------------------------------

struct transformer::impl {
  transformer_config config;
  transformer_settings settings;
  at::TensorOptions options;
  arena parameters;
  at::Tensor token_embedding, position_embedding;

  impl(const transformer_config& c, std::uint64_t seed,
       const transformer_settings& s)
    : config(c),
      settings(s),
      options(
        at::TensorOptions(scalar_type(s.type)).device(torch_device(s.device))),
      parameters(parameters_of(c),
                 {s.device, s.trains ? dtype::float32 : s.type, s.trains}) {
    initialize(parameters, parameters_of(c), seed);
    token_embedding = parameters.at("model.embed_tokens.weight");
    position_embedding = parameters.at("model.embed_positions.weight");
  }

  [[nodiscard]] transformer_weights weights() const {
    return weights_in(settings.type, parameters, config);
  }

  /// In the type that the model computes in; `x` itself if it has it.
  at::Tensor typed(const at::Tensor& x) const {
    return x.to(scalar_type(settings.type));
  }

  at::Tensor norm(const at::Tensor& x, const at::Tensor& weight,
                  const at::Tensor& bias) const {
    return at::layer_norm(x, {config.width}, weight, bias);
  }

  /// Rounds behind the look-up: gradients of a token that stands in many rows
  /// are summed in float32.
  at::Tensor embedding(const at::Tensor& weight, const at::Tensor& ids) const {
    return typed(at::embedding(weight, ids));
  }

  /// [n * t, width] -> [n, heads, t, width / heads].
  at::Tensor to_heads(const at::Tensor& x, std::int64_t n,
                      std::int64_t t) const {
    return x.view({n, t, config.heads, config.width / config.heads})
      .transpose(1, 2);
  }

  /// Positions `from` and later of x [n * t, width].
  at::Tensor tail(const at::Tensor& x, std::int64_t n, std::int64_t t,
                  std::int64_t from) const {
    if (from == 0)
      return x;
    return x.view({n, t, config.width})
      .narrow(1, from, t - from)
      .reshape({n * (t - from), config.width});
  }

  /// One block on x [n * t, width]; the result holds positions `from` and
  /// later. With a cache, keys and values of layer `index` are appended to it
  /// and attention sees all that it holds.
  at::Tensor run_block(const block_weights& p, std::size_t index,
                       const at::Tensor& x, std::int64_t n, std::int64_t t,
                       std::int64_t from, const at::Tensor& mask,
                       kv_cache::impl* cache) const {
    auto h = norm(x, p.attention_norm_weight, p.attention_norm_bias);
    auto q = to_heads(at::linear(tail(h, n, t, from), p.q_weight, p.q_bias), n,
                      t - from);
    auto k = to_heads(at::linear(h, p.k_weight, p.k_bias), n, t);
    auto v = to_heads(at::linear(h, p.v_weight, p.v_bias), n, t);
    if (cache != nullptr) {
      cache->keys[index].narrow(2, cache->length, t).copy_(k);
      cache->values[index].narrow(2, cache->length, t).copy_(v);
      k = cache->keys[index].narrow(2, 0, cache->length + t);
      v = cache->values[index].narrow(2, 0, cache->length + t);
    }
    auto scale = 1
                 / std::sqrt(static_cast<double>(config.width)
                             / static_cast<double>(config.heads));
    // The mask is float32, and so is what is made with it.
    auto weights = q.mul(scale)
                     .matmul(k.transpose(2, 3))
                     .add(mask.narrow(2, from, t - from))
                     .softmax(-1);
    auto seen = typed(weights).matmul(v).transpose(1, 2).reshape(
      {n * (t - from), config.width});
    auto y = tail(x, n, t, from)
               .add(at::linear(seen, p.out_weight, p.out_bias));
    auto up = at::linear(norm(y, p.mlp_norm_weight, p.mlp_norm_bias),
                         p.up_weight, p.up_bias)
                .relu();
    return y.add(at::linear(up, p.down_weight, p.down_bias));
  }

  /// No look-up may fail on the device. Copies tokens that lie there.
  void check_ids(const at::Tensor& tokens) const {
    auto ids = tokens.to(at::kCPU, at::kLong).contiguous();
    config.check_tokens({ids.data_ptr<std::int64_t>(),
                         static_cast<std::size_t>(ids.numel())},
                        ids.size(1));
  }

  /// Logits [n, t - from, vocab] of positions `from` and later: the last block
  /// leaves the earlier ones out, as nobody looks at them any more.
  at::Tensor run(const at::Tensor& tokens, const at::Tensor& padding,
                 std::int64_t from, const transformer_weights& weights,
                 kv_cache::impl* cache) const {
    auto device = torch_device(settings.device);
    auto n = tokens.size(0);
    auto t = tokens.size(1);
    auto first = cache != nullptr ? cache->length : 0;
    if (first + t > config.context)
      throw std::invalid_argument{
        fmt::format("transformer: {} positions, but the context is {}",
                    first + t, config.context)};
    auto x = embedding(token_embedding, tokens.to(device))
               .add(embedding(position_embedding,
                              position_ids(first, t, padding, settings.device)))
               .view({n * t, config.width});
    auto mask = attention_mask(first, t, padding, settings.device);
    const auto& blocks = weights.blocks;
    for (std::size_t i = 0; i < blocks.size(); ++i)
      x = run_block(blocks[i], i, x, n, t, i + 1 == blocks.size() ? from : 0,
                    mask, cache);
    // Multiplied in float32: at 8 a bfloat16 logit is off by up to 3 %, and the
    // ways of a cache and of a whole sequence would round apart.
    return at::linear(norm(x, weights.norm_weight, weights.norm_bias)
                        .to(at::kFloat),
                      weights.head)
      .view({n, t - from, config.vocab_size});
  }
};

transformer::transformer(const transformer_config& config, std::uint64_t seed,
                         const transformer_settings& settings) {
  config.check();
  impl_ = std::make_unique<impl>(config, seed, settings);
}

transformer::~transformer() = default;

const transformer_config& transformer::config() const noexcept {
  return impl_->config;
}

const transformer_settings& transformer::settings() const noexcept {
  return impl_->settings;
}

arena& transformer::parameters() noexcept {
  return impl_->parameters;
}

const arena& transformer::parameters() const noexcept {
  return impl_->parameters;
}

at::Tensor transformer::logits(const at::Tensor& tokens,
                               std::span<const std::int64_t> padding,
                               std::int64_t from) const {
  if (from < 0 || from >= tokens.size(1))
    throw std::invalid_argument{
      fmt::format("transformer: logits from position {} of {}", from,
                  tokens.size(1))};
  if (!all_zero(padding) && std::ssize(padding) != tokens.size(0))
    throw std::invalid_argument{
      fmt::format("transformer: {} padding counts for {} rows", padding.size(),
                  tokens.size(0))};
  impl_->check_ids(tokens);
  return impl_->run(tokens, resident_padding(padding, impl_->settings.device),
                    from, impl_->weights(), nullptr);
}

at::Tensor transformer::next_logits(kv_cache& cache,
                                    const at::Tensor& tokens) const {
  impl_->check_ids(tokens);
  return next_logits_of_drawn(cache, tokens);
}

at::Tensor transformer::next_logits_of_drawn(kv_cache& cache,
                                             const at::Tensor& tokens) const {
  at::NoGradGuard no_grad;
  auto& c = *cache.impl_;
  auto t = tokens.size(1);
  if (tokens.size(0) != c.rows || c.length + t > c.capacity)
    throw std::invalid_argument{
      fmt::format("transformer: {} x {} tokens do not fit a cache of {} rows, "
                  "{} of {} positions used",
                  tokens.size(0), t, c.rows, c.length, c.capacity)};
  if (c.keys.empty()) {
    c.allocate(impl_->config, impl_->options);
    c.weights = impl_->weights();
  }
  auto last = impl_->run(tokens, c.padding, t - 1, c.weights, &c);
  c.length += t;
  return last.squeeze(1);
}

} // namespace troupe::torch
