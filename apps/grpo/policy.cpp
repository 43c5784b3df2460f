// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/policy.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include <fmt/format.h>

#include "troupe/apps/grpo/reward.hpp"
#include "troupe/apps/grpo/schema.hpp"
#include "troupe/apps/grpo/tokenizer.hpp"
#include "troupe/apps/torch/generation.hpp"

namespace troupe::grpo {

namespace {

/// Every row of an int64 tensor `times` times, copies next to each other.
tensor repeat_rows(const tensor& x, std::int64_t times) {
  auto extents = x.extents();
  extents[0] *= times;
  tensor out{x.type(), extents};
  auto rows = x.extents()[0];
  auto row_bytes = rows == 0
                     ? 0
                     : x.bytes().size() / static_cast<std::size_t>(rows);
  auto* to = out.bytes().data();
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t i = 0; i < times; ++i)
      to = std::copy_n(x.bytes().data()
                         + static_cast<std::size_t>(row) * row_bytes,
                       row_bytes, to);
  return out;
}

/// Prompts (each `times` times) and completions side by side.
tensor join(const tensor& prompts, const tensor& completions,
            std::int64_t times) {
  auto rows = completions.extents()[0];
  auto p = prompts.extents()[1];
  auto c = completions.extents()[1];
  tensor out{dtype::int64, {rows, p + c}};
  auto* to = out.values<std::int64_t>().data();
  const auto* prompt = prompts.values<std::int64_t>().data();
  const auto* completion = completions.values<std::int64_t>().data();
  for (std::int64_t row = 0; row < rows; ++row) {
    to = std::copy_n(prompt + row / times * p, p, to);
    to = std::copy_n(completion + row * c, c, to);
  }
  return out;
}

} // namespace

void policy::setup(worker_context& ctx) {
  ctx_ = &ctx;
  settings_ = read_model_settings(ctx.config());
  samples_ = ctx.config().integer("samples_per_prompt");
  if (samples_ < 1)
    throw std::invalid_argument{
      fmt::format("samples_per_prompt is {} and must be at least 1", samples_)};
  model_ = std::make_unique<placed_model>(ctx, settings_, false);
}

parameter_list policy::parameters() {
  return model_->parameters();
}

void policy::onload() {
  model_->memory().onload();
}

void policy::offload() {
  model_->memory().offload();
}

std::optional<std::uint64_t> policy::device_bytes() const {
  return model_->device_bytes();
}

batch policy::generate(const batch& prompts) {
  auto prompt = require(prompts, field::prompt, dtype::int64, 2);
  auto padding = require_ids(prompts, field::padding);
  auto drawn = model_->memory().run("generate", [&] {
    return torch::generate(model_->net(), prompt, padding,
                           {settings_.completion_length, samples_,
                            settings_.temperature, tokenizer::end,
                            tokenizer::pad},
                           &ctx_->generator());
  });
  batch result;
  for (auto name : {field::padding, field::answer, field::group}) {
    auto x = prompts.get(name);
    if (!x)
      throw std::invalid_argument{x.error().message()};
    result.set(std::string{name}, repeat_rows(*x, samples_));
  }
  result.set(std::string{field::tokens}, join(prompt, drawn.tokens, samples_));
  result.set(std::string{field::mask}, std::move(drawn.mask));
  result.set(std::string{field::old_logprobs}, std::move(drawn.logprobs));
  return result;
}

batch policy::evaluate(const batch& questions) {
  auto prompt = require(questions, field::prompt, dtype::int64, 2);
  auto padding = require_ids(questions, field::padding);
  auto answers = require(questions, field::answer, dtype::int64, 2);
  auto given = model_->memory().run("evaluate", [&] {
    return torch::generate(model_->net(), prompt, padding,
                           {settings_.completion_length, 1, 1, tokenizer::end,
                            tokenizer::pad},
                           nullptr);
  });
  auto rows = static_cast<std::size_t>(prompt.extents()[0]);
  auto c = static_cast<std::size_t>(settings_.completion_length);
  if (answers.extents()[1] != settings_.completion_length)
    throw std::invalid_argument{
      fmt::format("policy: answers are {}, but completion_length is {}",
                  to_string(answers), c)};
  tensor exact{dtype::float32, {prompt.extents()[0]}};
  std::span<const std::int64_t> all_given = given.tokens.values<std::int64_t>();
  std::span<const std::int64_t> all_right = answers.values<std::int64_t>();
  for (std::size_t i = 0; i < rows; ++i)
    exact.values<float>()[i] = score_answer(all_given.subspan(i * c, c),
                                            all_right.subspan(i * c, c))
                                   .exact
                                 ? 1.0f
                                 : 0.0f;
  auto result = questions;
  result.set(std::string{field::tokens}, join(prompt, given.tokens, 1));
  result.set(std::string{field::exact}, std::move(exact));
  return result;
}

std::vector<option_spec> policy_options() {
  auto specs = model_options();
  specs.push_back({"samples_per_prompt", std::int64_t{8},
                   "completions drawn of each prompt: one group",
                   at_least_one});
  return specs;
}

} // namespace troupe::grpo
