// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "troupe/apps/torch/arena.hpp"
#include "troupe/apps/torch/fwd.hpp"

namespace troupe::torch {

struct transformer_config {
  std::int64_t vocab_size = 0;
  /// Longest sequence, prompt and completion together.
  std::int64_t context = 0;
  std::int64_t layers = 2;
  std::int64_t width = 64;
  std::int64_t heads = 4;

  /// Throws std::invalid_argument that names the bad number.
  void check() const;

  /// Throws std::invalid_argument that names id and row unless all of `tokens`,
  /// rows of `columns`, are in the vocabulary. A device finds out by a failed
  /// kernel, which ends all work of its process there: so ids are looked at
  /// while they are in host memory.
  void check_tokens(std::span<const std::int64_t> tokens,
                    std::int64_t columns) const;
};

/// Where a model lives and in what it computes.
struct transformer_settings {
  dlpack::device device = {};
  /// float32 or bfloat16: weights in matrix products, hidden states, keys and
  /// values, and attention weights behind a cache. Without one those are float32,
  /// and logits and losses are in any case.
  dtype type = dtype::float32;
  /// A model that trains keeps its parameters in float32 and rounds them anew
  /// for each pass; gradients arrive in float32. One that does not keeps them
  /// in `type`, and has no gradients.
  bool trains = true;
};

/// Keys and values of the positions seen so far, one block a layer. Filled by
/// `transformer::next_logits`. It lives inside one function of a module, and
/// weights must not change meanwhile: what is made of them is kept.
class kv_cache {
public:
  /// Room for `capacity` positions of `padding.size()` rows. `padding[i]` is
  /// the number of pad tokens that open row i: they are never attended to.
  /// Throws std::invalid_argument for a count below zero.
  kv_cache(const transformer_config& config, std::int64_t capacity,
           std::vector<std::int64_t> padding);
  ~kv_cache();
  kv_cache(kv_cache&&) noexcept;
  kv_cache& operator=(kv_cache&&) noexcept;

  /// Positions filled.
  [[nodiscard]] std::int64_t length() const noexcept;

  [[nodiscard]] std::int64_t rows() const noexcept;

  /// Each row `times` times, copies next to each other: a prompt is read once
  /// for all its samples.
  void repeat_rows(std::int64_t times);

private:
  friend class transformer;
  struct impl;
  std::unique_ptr<impl> impl_;
};

/// A decoder-only transformer: token and learned position embeddings, blocks
/// with the layer norm in front (attention, then an MLP of 4 x width with
/// ReLU), a final layer norm, and a head of its own.
///
/// Rows of different prompt lengths are padded on the left; positions count
/// from the first real token.
///
/// Parameters live in an arena under Hugging-Face-like names
/// ("model.layers.0.self_attn.q_proj.weight", [out, in]). Used by one thread
/// at a time; on a CUDA device inside `device_stream::run`. Tokens may come from
/// anywhere; logits are float32 on the model's device.
class transformer {
public:
  /// Initial weights follow from `seed` alone; bfloat16 ones are the float32
  /// ones rounded.
  transformer(const transformer_config& config, std::uint64_t seed,
              const transformer_settings& settings = {});
  ~transformer();

  [[nodiscard]] const transformer_config& config() const noexcept;

  [[nodiscard]] const transformer_settings& settings() const noexcept;

  [[nodiscard]] arena& parameters() noexcept;
  [[nodiscard]] const arena& parameters() const noexcept;

  /// Logits [n, t - from, vocab] of the positions `from` and later of `tokens`
  /// int64 [n, t]; one padding count a row, or an empty span if there is no
  /// padding. Position i sees the tokens up to and including i. Differentiable
  /// unless a NoGradGuard is in force. Throws std::invalid_argument for tokens
  /// that are not in the vocabulary, and counts below zero.
  [[nodiscard]] at::Tensor logits(const at::Tensor& tokens,
                                  std::span<const std::int64_t> padding = {},
                                  std::int64_t from = 0) const;

  /// Appends `tokens` int64 [rows, k] to the cache and returns the logits
  /// [rows, vocab] of the last of them. Never differentiable. Throws as
  /// `logits` does; the cache holds no more positions then.
  at::Tensor next_logits(kv_cache& cache, const at::Tensor& tokens) const;

  /// The same for tokens that were drawn of this model's logits and lie on its
  /// device: nobody looks at them, and the host does not wait.
  at::Tensor next_logits_of_drawn(kv_cache& cache,
                                  const at::Tensor& tokens) const;

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace troupe::torch
