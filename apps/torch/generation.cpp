// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/generation.hpp"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "troupe/apps/torch/random.hpp"
#include "troupe/apps/torch/sampling.hpp"
#include "troupe/apps/torch/tensor_bridge.hpp"

namespace troupe::torch {

namespace {

void check(const tensor& prompts, std::span<const std::int64_t> padding,
           const generation_settings& s) {
  if (prompts.type() != dtype::int64 || prompts.extents().size() != 2
      || prompts.extents()[1] < 1)
    throw std::invalid_argument{
      fmt::format("generation: prompts are {}, not int64[n, p]",
                  to_string(prompts))};
  if (!padding.empty() && std::ssize(padding) != prompts.extents()[0])
    throw std::invalid_argument{
      fmt::format("generation: {} padding counts for {} prompts",
                  padding.size(), prompts.extents()[0])};
  if (s.max_tokens < 1 || s.samples < 1 || !(s.temperature > 0))
    throw std::invalid_argument{
      fmt::format("generation: max_tokens {}, samples {}, temperature {}: all "
                  "must be positive",
                  s.max_tokens, s.samples, s.temperature)};
}

completions empty_completions(std::int64_t rows, const generation_settings& s) {
  completions out{tensor{dtype::int64, {rows, s.max_tokens}},
                  tensor{dtype::float32, {rows, s.max_tokens}},
                  tensor{dtype::float32, {rows, s.max_tokens}},
                  tensor{dtype::int64, {rows}}};
  std::ranges::fill(out.tokens.values<std::int64_t>(), s.pad_token);
  std::ranges::fill(out.logprobs.values<float>(), 0.0f);
  std::ranges::fill(out.mask.values<float>(), 0.0f);
  std::ranges::fill(out.lengths.values<std::int64_t>(), 0);
  return out;
}

} // namespace

completions generate(const transformer& model, const tensor& prompts,
                     std::span<const std::int64_t> padding,
                     const generation_settings& settings,
                     std::mt19937_64* generator) {
  check(prompts, padding, settings);
  at::NoGradGuard no_grad;
  auto n = prompts.extents()[0];
  auto rows = n * settings.samples;
  auto out = empty_completions(rows, settings);
  if (rows == 0)
    return out;
  std::vector<std::int64_t> pads(padding.begin(), padding.end());
  pads.resize(static_cast<std::size_t>(n), 0);
  // The last token is drawn and never fed back.
  kv_cache cache{model.config(), prompts.extents()[1] + settings.max_tokens - 1,
                 std::move(pads)};
  auto logits = model.next_logits(cache, to_torch(prompts));
  if (settings.samples > 1) {
    cache.repeat_rows(settings.samples);
    logits = logits.repeat_interleave(settings.samples, 0);
  }
  auto tokens = out.tokens.values<std::int64_t>();
  auto logprobs = out.logprobs.values<float>();
  auto mask = out.mask.values<float>();
  auto lengths = out.lengths.values<std::int64_t>();
  auto width = static_cast<std::size_t>(settings.max_tokens);
  auto vocab = static_cast<std::size_t>(model.config().vocab_size);
  std::vector<bool> done(static_cast<std::size_t>(rows), false);
  auto running = rows;
  for (std::size_t step = 0; step < width; ++step) {
    // Drawn here, on every device alike: vocabulary x rows floats a step.
    auto dense = logits.to(at::kCPU).contiguous();
    std::span all{dense.data_ptr<float>(), done.size() * vocab};
    tensor drawn{dtype::int64, {rows, 1}};
    auto next = drawn.values<std::int64_t>();
    for (std::size_t row = 0; row < done.size(); ++row) {
      auto u = generator != nullptr ? uniform(*generator) : 0;
      next[row] = settings.pad_token;
      if (done[row])
        continue;
      auto of_row = all.subspan(row * vocab, vocab);
      auto choice = generator != nullptr ? draw(of_row, settings.temperature, u)
                                         : most_likely(of_row);
      auto at = row * width + step;
      next[row] = choice.token;
      tokens[at] = choice.token;
      logprobs[at] = choice.logprob;
      mask[at] = 1;
      ++lengths[row];
      if (choice.token == settings.stop_token) {
        done[row] = true;
        --running;
      }
    }
    if (running == 0 || step + 1 == width)
      break;
    logits = model.next_logits(cache, to_torch(drawn));
  }
  return out;
}

} // namespace troupe::torch
