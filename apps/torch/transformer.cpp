// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/transformer.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_addmm_activation.h>
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
  std::int64_t most_padding = 0;
  /// int64 [rows], where keys and values are; undefined if no row is padded.
  at::Tensor padding;
  /// A layer's keys and values: [rows * heads, capacity, width / heads], as
  /// products like them. None before the first use, which knows device and
  /// type.
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  /// In the types that passes need, made once for all tokens. They belong to
  /// the function that fills the cache: copies are gone before an offload or a
  /// sync.
  transformer_weights weights;
  /// With padding: int64 [rows, capacity], and what the last position sees,
  /// [rows, 1, 1, capacity]. Made when they are needed, for all tokens.
  at::Tensor positions;
  at::Tensor last_mask;

  void allocate(const transformer_config& config, at::TensorOptions options) {
    if (padding.defined())
      padding = padding.to(options.device());
    for (std::int64_t i = 0; i < config.layers; ++i)
      for (auto* blocks : {&keys, &values})
        blocks->push_back(at::empty({rows * config.heads, capacity,
                                     config.width / config.heads},
                                    options));
  }
};

kv_cache::kv_cache(const transformer_config&, std::int64_t capacity,
                   std::vector<std::int64_t> padding)
  : impl_(std::make_unique<impl>()) {
  impl_->rows = std::ssize(padding);
  impl_->capacity = capacity;
  impl_->padding = resident_padding(padding, {});
  if (!padding.empty())
    impl_->most_padding = std::ranges::max(padding);
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
  for (auto* blocks : {&impl_->keys, &impl_->values})
    for (auto& x : *blocks)
      x = x.view({impl_->rows, -1, x.size(1), x.size(2)})
            .repeat_interleave(times, 0)
            .flatten(0, 1);
  impl_->rows *= times;
  if (impl_->padding.defined())
    impl_->padding = impl_->padding.repeat_interleave(times, 0);
  impl_->positions.reset();
  impl_->last_mask.reset();
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

  [[nodiscard]] double score_scale() const {
    return 1
           / std::sqrt(static_cast<double>(config.width)
                       / static_cast<double>(config.heads));
  }

  /// One block on x [n * t, width]; the result holds positions `from` and
  /// later. Differentiable.
  at::Tensor run_block(const block_weights& p, const at::Tensor& x,
                       std::int64_t n, std::int64_t t, std::int64_t from,
                       const at::Tensor& mask) const {
    auto h = norm(x, p.attention_norm_weight, p.attention_norm_bias);
    auto q = to_heads(at::linear(tail(h, n, t, from), p.q_weight, p.q_bias), n,
                      t - from);
    auto k = to_heads(at::linear(h, p.k_weight, p.k_bias), n, t);
    auto v = to_heads(at::linear(h, p.v_weight, p.v_bias), n, t);
    // The mask is float32, and so is what is made with it.
    auto weights = q.mul(score_scale())
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

  /// The same behind the positions of a cache, to whose layer `index` keys and
  /// values are appended; attention sees all that it holds. `mask` may be
  /// undefined: nothing is hidden. Writes to `x`. For one token a row it is
  /// launches that take the time: few operations, and no gradients.
  at::Tensor append_block(kv_cache::impl& c, std::size_t index,
                          const at::Tensor& x, std::int64_t n, std::int64_t t,
                          std::int64_t from, const at::Tensor& mask) const {
    const auto& p = c.weights.blocks[index];
    auto queries = t - from;
    auto products = [&](const at::Tensor& of, std::int64_t positions) {
      return to_heads(of, n, positions)
        .reshape({n * config.heads, positions, config.width / config.heads});
    };
    auto h = norm(x, p.attention_norm_weight, p.attention_norm_bias);
    auto q = products(at::linear(tail(h, n, t, from), p.q_weight, p.q_bias)
                        .mul_(score_scale()),
                      queries);
    auto& k = c.keys[index];
    auto& v = c.values[index];
    k.narrow(1, c.length, t)
      .copy_(products(at::linear(h, p.k_weight, p.k_bias), t));
    v.narrow(1, c.length, t)
      .copy_(products(at::linear(h, p.v_weight, p.v_bias), t));
    auto all = c.length + t;
    auto scores = q.bmm(k.narrow(1, 0, all).transpose(1, 2));
    if (mask.defined())
      scores.view({n, config.heads, queries, all})
        .add_(mask.narrow(2, from, queries));
    // A device sums in float32 whatever the type is, and rounds once.
    auto seen = scores.softmax(-1)
                  .bmm(v.narrow(1, 0, all))
                  .view({n, config.heads, queries, config.width / config.heads})
                  .transpose(1, 2)
                  .reshape({n * queries, config.width});
    auto y = tail(x, n, t, from);
    y.add_(at::linear(seen, p.out_weight, p.out_bias));
    // ReLU comes with the product.
    auto up = at::_addmm_activation(p.up_bias,
                                    norm(y, p.mlp_norm_weight, p.mlp_norm_bias),
                                    p.up_weight.t());
    return y.add_(at::linear(up, p.down_weight, p.down_bias));
  }

  /// Of positions behind those of a cache: [t, width], or [n, t, width].
  at::Tensor embedded_positions(kv_cache::impl& c, std::int64_t t) const {
    if (!c.padding.defined())
      return typed(position_embedding.narrow(0, c.length, t));
    if (!c.positions.defined())
      c.positions = position_ids(0, c.capacity, c.padding, settings.device);
    return embedding(position_embedding, c.positions.narrow(1, c.length, t));
  }

  /// In the type that the model computes in, which holds 0 and -inf exactly.
  /// Undefined if there is nothing to hide.
  at::Tensor mask_behind(kv_cache::impl& c, std::int64_t t) const {
    if (t > 1 || c.most_padding > c.length)
      return typed(attention_mask(c.length, t, c.padding, settings.device));
    if (!c.padding.defined())
      return {};
    // All rows are past their padding: from here on it alone is hidden.
    if (!c.last_mask.defined())
      c.last_mask = typed(
        attention_mask(c.capacity - 1, 1, c.padding, settings.device));
    return c.last_mask.narrow(3, 0, c.length + 1);
  }

  /// No look-up may fail on the device. Copies tokens that lie there.
  void check_ids(const at::Tensor& tokens) const {
    auto ids = tokens.to(at::kCPU, at::kLong).contiguous();
    config.check_tokens({ids.data_ptr<std::int64_t>(),
                         static_cast<std::size_t>(ids.numel())},
                        ids.size(1));
  }

  void check_length(std::int64_t positions) const {
    if (positions > config.context)
      throw std::invalid_argument{
        fmt::format("transformer: {} positions, but the context is {}",
                    positions, config.context)};
  }

  /// Multiplied in float32: at 8 a bfloat16 logit is off by up to 3 %, and the
  /// ways of a cache and of a whole sequence would round apart.
  at::Tensor logits_of(const at::Tensor& x,
                       const transformer_weights& weights) const {
    return at::linear(norm(x, weights.norm_weight, weights.norm_bias)
                        .to(at::kFloat),
                      weights.head);
  }

  /// Logits [n, t - from, vocab] of positions `from` and later: the last block
  /// leaves the earlier ones out, as nobody looks at them any more.
  at::Tensor run(const at::Tensor& tokens, const at::Tensor& padding,
                 std::int64_t from) const {
    auto n = tokens.size(0);
    auto t = tokens.size(1);
    check_length(t);
    auto used = weights();
    auto x = embedding(token_embedding,
                       tokens.to(torch_device(settings.device)))
               .add(embedding(position_embedding,
                              position_ids(0, t, padding, settings.device)))
               .view({n * t, config.width});
    auto mask = attention_mask(0, t, padding, settings.device);
    for (const auto& block : used.blocks)
      x = run_block(block, x, n, t, &block == &used.blocks.back() ? from : 0,
                    mask);
    return logits_of(x, used).view({n, t - from, config.vocab_size});
  }

  /// Logits [n, vocab] of the last of `tokens`, behind those of the cache.
  at::Tensor append(const at::Tensor& tokens, kv_cache::impl& c) const {
    auto n = tokens.size(0);
    auto t = tokens.size(1);
    check_length(c.length + t);
    auto x = embedding(token_embedding,
                       tokens.to(torch_device(settings.device)))
               .add_(embedded_positions(c, t))
               .view({n * t, config.width});
    auto mask = mask_behind(c, t);
    auto count = c.weights.blocks.size();
    for (std::size_t i = 0; i < count; ++i)
      x = append_block(c, i, x, n, t, i + 1 == count ? t - 1 : 0, mask);
    return logits_of(x, c.weights);
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
                    from);
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
  auto last = impl_->append(tokens, c);
  c.length += t;
  return last;
}

} // namespace troupe::torch
