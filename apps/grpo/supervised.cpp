// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/supervised.hpp"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

#include "troupe/apps/grpo/completion_logits.hpp"
#include "troupe/apps/grpo/schema.hpp"
#include "troupe/apps/grpo/tokenizer.hpp"

namespace troupe::grpo {

labelled_sequences supervised_sequences(const batch& examples,
                                        const model_settings& settings) {
  auto prompts = require(examples, field::prompt, dtype::int64, 2);
  auto answers = require(examples, field::answer, dtype::int64, 2);
  auto n = prompts.extents()[0];
  auto p = settings.prompt_length;
  auto c = settings.completion_length;
  if (prompts.extents()[1] != p || answers.extents() != shape{n, c})
    throw std::invalid_argument{
      fmt::format("batch: prompts are {} and answers {}, but the model has "
                  "prompt_length {} and completion_length {}",
                  to_string(prompts), to_string(answers), p, c)};
  labelled_sequences out{tensor{dtype::int64, {n, p + c}},
                         tensor{dtype::float32, {n, c}}};
  auto* to = out.tokens.values<std::int64_t>().data();
  auto* mask = out.mask.values<float>().data();
  const auto* prompt = prompts.values<std::int64_t>().data();
  const auto* answer = answers.values<std::int64_t>().data();
  for (std::int64_t row = 0; row < n; ++row) {
    to = std::copy_n(prompt + row * p, p, to);
    to = std::copy_n(answer + row * c, c, to);
    bool counts = true;
    for (std::int64_t i = 0; i < c; ++i) {
      *mask++ = counts ? 1.0f : 0.0f;
      counts = counts && answer[row * c + i] != tokenizer::end;
    }
  }
  check_sequences(out.tokens, settings);
  return out;
}

} // namespace troupe::grpo
