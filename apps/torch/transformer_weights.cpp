// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/transformer_weights.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <string>
#include <string_view>
#include <utility>

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "troupe/apps/torch/random.hpp"
#include "troupe/apps/torch/tensor_bridge.hpp"

namespace troupe::torch {

namespace {

/// A block's parameters as `parameters_of` orders them.
constexpr std::array in_order{
  &block_weights::attention_norm_weight,
  &block_weights::attention_norm_bias,
  &block_weights::q_weight,
  &block_weights::q_bias,
  &block_weights::k_weight,
  &block_weights::k_bias,
  &block_weights::v_weight,
  &block_weights::v_bias,
  &block_weights::out_weight,
  &block_weights::out_bias,
  &block_weights::mlp_norm_weight,
  &block_weights::mlp_norm_bias,
  &block_weights::up_weight,
  &block_weights::up_bias,
  &block_weights::down_weight,
  &block_weights::down_bias,
};

constexpr std::size_t embeddings = 2;

bool ends_with(std::string_view name, std::string_view end) {
  return name.size() >= end.size()
         && name.substr(name.size() - end.size()) == end;
}

} // namespace

std::vector<parameter_spec> parameters_of(const transformer_config& c) {
  std::vector<parameter_spec> specs;
  auto add = [&](std::string name, shape extents) {
    specs.push_back({std::move(name), std::move(extents)});
  };
  auto linear = [&](const std::string& name, std::int64_t out,
                    std::int64_t in) {
    add(fmt::format("{}.weight", name), {out, in});
    add(fmt::format("{}.bias", name), {out});
  };
  auto norm = [&](const std::string& name) {
    add(fmt::format("{}.weight", name), {c.width});
    add(fmt::format("{}.bias", name), {c.width});
  };
  add("model.embed_tokens.weight", {c.vocab_size, c.width});
  add("model.embed_positions.weight", {c.context, c.width});
  for (std::int64_t i = 0; i < c.layers; ++i) {
    auto layer = fmt::format("model.layers.{}", i);
    norm(fmt::format("{}.input_layernorm", layer));
    for (auto name : {"q_proj", "k_proj", "v_proj", "o_proj"})
      linear(fmt::format("{}.self_attn.{}", layer, name), c.width, c.width);
    norm(fmt::format("{}.post_attention_layernorm", layer));
    linear(fmt::format("{}.mlp.up_proj", layer), 4 * c.width, c.width);
    linear(fmt::format("{}.mlp.down_proj", layer), c.width, 4 * c.width);
  }
  norm("model.norm");
  add("lm_head.weight", {c.vocab_size, c.width});
  return specs;
}

void initialize(arena& parameters, const std::vector<parameter_spec>& specs,
                std::uint64_t seed) {
  at::NoGradGuard no_grad;
  std::mt19937_64 generator{seed};
  for (std::size_t i = 0; i < specs.size(); ++i) {
    std::string_view name = specs[i].name;
    // Drawn here and copied: the same numbers on every device.
    tensor drawn{dtype::float32, specs[i].extents};
    auto values = drawn.values<float>();
    if (ends_with(name, "norm.weight"))
      std::ranges::fill(values, 1.0f);
    else if (ends_with(name, ".bias"))
      std::ranges::fill(values, 0.0f);
    else if (name.find("embed_") != std::string_view::npos)
      fill_normal(values, 0.1, generator);
    else
      fill_uniform(values,
                   1 / std::sqrt(static_cast<double>(specs[i].extents.back())),
                   generator);
    parameters[i].copy_(to_torch(drawn));
  }
}

transformer_weights weights_in(dtype type, const arena& parameters,
                               const transformer_config& config) {
  transformer_weights result;
  auto next = embeddings;
  for (std::int64_t i = 0; i < config.layers; ++i) {
    auto from = parameters.in_type(type, next, in_order.size());
    auto& block = result.blocks.emplace_back();
    for (std::size_t j = 0; j < in_order.size(); ++j)
      block.*in_order[j] = std::move(from[j]);
    next += in_order.size();
  }
  auto last = parameters.in_type(type, next, 3);
  result.norm_weight = std::move(last[0]);
  result.norm_bias = std::move(last[1]);
  result.head = last[2].to(at::kFloat);
  return result;
}

} // namespace troupe::torch
