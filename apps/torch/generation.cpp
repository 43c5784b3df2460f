// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/generation.hpp"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/InferenceMode.h>
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

/// The numbers of all steps, float64 [steps, rows], on the device. The
/// generator stays where it is: nobody knows yet how many steps there are.
at::Tensor draws_ahead(std::mt19937_64 generator, std::int64_t steps,
                       std::int64_t rows, dlpack::device where) {
  tensor drawn{dtype::float64, {steps, rows}};
  for (auto& u : drawn.values<double>())
    u = uniform(generator);
  return to_torch(drawn, where);
}

/// Whether all rows have ended, without a look at each token.
class finish_line {
public:
  finish_line(const at::Tensor& tokens, const generation_settings& settings)
    : tokens_(tokens),
      stop_(settings.stop_token),
      every_(settings.look_every > 0 ? settings.look_every
             : tokens.is_cpu()       ? 1
                                     : 8) {
    // nop
  }

  /// True only if the first `steps` tokens of each row hold a stop token. May
  /// be late by `every_ - 1` steps.
  bool reached(std::int64_t steps) {
    if (steps % every_ != 0)
      return false;
    auto ended = tokens_.narrow(0, seen_, steps - seen_).eq(stop_).any(0);
    ended_ = ended_.defined() ? ended_.logical_or_(ended) : ended;
    seen_ = steps;
    return ended_.all().item<bool>();
  }

private:
  /// int64 [max_tokens, rows]
  at::Tensor tokens_;
  std::int64_t stop_;
  std::int64_t every_;
  std::int64_t seen_ = 0;
  at::Tensor ended_;
};

/// Rows up to their stop tokens, of what was drawn: `tokens` int64 and
/// `logprobs` float32 [steps, rows]. Returns the longest row's length.
std::int64_t fill(completions& out, const tensor& tokens,
                  const tensor& logprobs, const generation_settings& s) {
  auto steps = static_cast<std::size_t>(tokens.extents()[0]);
  auto rows = static_cast<std::size_t>(tokens.extents()[1]);
  auto width = static_cast<std::size_t>(s.max_tokens);
  auto drawn = tokens.values<std::int64_t>();
  auto drawn_logprobs = logprobs.values<float>();
  auto kept = out.tokens.values<std::int64_t>();
  auto kept_logprobs = out.logprobs.values<float>();
  auto mask = out.mask.values<float>();
  auto lengths = out.lengths.values<std::int64_t>();
  for (std::size_t row = 0; row < rows; ++row)
    for (std::size_t step = 0; step < steps; ++step) {
      auto from = step * rows + row;
      auto to = row * width + step;
      check_logprob(drawn_logprobs[from]);
      kept[to] = drawn[from];
      kept_logprobs[to] = drawn_logprobs[from];
      mask[to] = 1;
      ++lengths[row];
      if (drawn[from] == s.stop_token)
        break;
    }
  return std::ranges::max(lengths);
}

} // namespace

completions generate(const transformer& model, const tensor& prompts,
                     std::span<const std::int64_t> padding,
                     const generation_settings& settings,
                     std::mt19937_64* generator) {
  check(prompts, padding, settings);
  // Everything made here ends here; parameters stay what they are, for whoever
  // writes to them later.
  c10::InferenceMode no_autograd;
  auto n = prompts.extents()[0];
  auto rows = n * settings.samples;
  auto width = settings.max_tokens;
  auto out = empty_completions(rows, settings);
  if (rows == 0)
    return out;
  std::vector<std::int64_t> pads(padding.begin(), padding.end());
  pads.resize(static_cast<std::size_t>(n), 0);
  // The last token is drawn and never fed back.
  kv_cache cache{model.config(), prompts.extents()[1] + width - 1,
                 std::move(pads)};
  auto logits = model.next_logits(cache, to_torch(prompts));
  if (settings.samples > 1) {
    cache.repeat_rows(settings.samples);
    logits = logits.repeat_interleave(settings.samples, 0);
  }
  // A row a step, so that a step's tokens lie beside each other. Rows that have
  // ended go on: what they draw is left out at the end.
  auto tokens = at::empty({width, rows}, logits.options().dtype(at::kLong));
  auto logprobs = at::empty({width, rows}, logits.options().dtype(at::kDouble));
  at::Tensor us;
  at::Tensor room;
  if (generator != nullptr) {
    us = draws_ahead(*generator, width, rows, model.settings().device);
    room = room_to_draw(logits);
  }
  finish_line line{tokens, settings};
  std::int64_t steps = 0;
  for (;;) {
    auto next = tokens.select(0, steps);
    if (generator != nullptr)
      draw(logits, settings.temperature, us.select(0, steps), room, next,
           logprobs.select(0, steps));
    else
      most_likely(logits, next, logprobs.select(0, steps));
    if (++steps == width || line.reached(steps))
      break;
    logits = model.next_logits_of_drawn(cache, next.unsqueeze(1));
  }
  auto longest = fill(out, to_host(tokens.narrow(0, 0, steps)),
                      to_host(logprobs.narrow(0, 0, steps).to(at::kFloat)),
                      settings);
  if (generator != nullptr)
    generator->discard(static_cast<unsigned long long>(longest * rows));
  return out;
}

} // namespace troupe::torch
