// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/model_options.hpp"

#include <stdexcept>

#include <fmt/format.h>

namespace troupe::grpo {

std::vector<option_spec> model_options() {
  using i = std::int64_t;
  return {
    {"vocab_size", i{14}, "tokens the model knows, two special ones included",
     at_least_one},
    {"prompt_length", i{6}, "tokens of the longest prompt", at_least_one},
    {"completion_length", i{4}, "most tokens of an answer, end included",
     at_least_one},
    {"layers", i{2}, "transformer blocks", at_least_one},
    {"width", i{64}, "size of a hidden state", at_least_one},
    {"heads", i{4}, "attention heads; must divide the width", at_least_one},
    {"temperature", 1.0, "temperature of sampling and of all logprobs",
     above_zero},
    {"dtype", std::string{"auto"},
     "what the model computes in: float32, bfloat16, or auto: float32 on the "
     "CPU, bfloat16 on a CUDA device; what trains keeps float32 besides"},
  };
}

namespace {

std::optional<dtype> read_type(const options& config) {
  const auto& name = config.string("dtype");
  if (name == "auto")
    return std::nullopt;
  if (name == "float32")
    return dtype::float32;
  if (name == "bfloat16")
    return dtype::bfloat16;
  throw std::invalid_argument{
    fmt::format("dtype is '{}' and must be auto, float32 or bfloat16", name)};
}

} // namespace

model_settings read_model_settings(const options& config) {
  model_settings s;
  s.prompt_length = config.integer("prompt_length");
  s.completion_length = config.integer("completion_length");
  s.temperature = config.number("temperature");
  if (s.prompt_length < 1 || s.completion_length < 1 || !(s.temperature > 0))
    throw std::invalid_argument{
      fmt::format("prompt_length {}, completion_length {} and temperature {} "
                  "must all be positive",
                  s.prompt_length, s.completion_length, s.temperature)};
  s.transformer.vocab_size = config.integer("vocab_size");
  s.transformer.context = s.prompt_length + s.completion_length;
  s.transformer.layers = config.integer("layers");
  s.transformer.width = config.integer("width");
  s.transformer.heads = config.integer("heads");
  s.transformer.check();
  s.type = read_type(config);
  return s;
}

} // namespace troupe::grpo
