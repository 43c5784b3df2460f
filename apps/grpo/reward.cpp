// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/reward.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include <fmt/format.h>

#include "troupe/apps/grpo/schema.hpp"
#include "troupe/apps/grpo/tokenizer.hpp"

namespace troupe::grpo {

namespace {

std::span<const std::int64_t> until_end(std::span<const std::int64_t> ids) {
  auto end = std::ranges::find(ids, tokenizer::end);
  return ids.first(static_cast<std::size_t>(end - ids.begin()));
}

} // namespace

answer_score score_answer(std::span<const std::int64_t> completion,
                          std::span<const std::int64_t> answer) {
  auto ended = std::ranges::find(completion, tokenizer::end)
               != completion.end();
  auto given = until_end(completion);
  auto right = until_end(answer);
  std::size_t agree = 0;
  for (std::size_t i = 0; i < std::min(given.size(), right.size()); ++i)
    agree += given[i] == right[i];
  auto longer = std::max(given.size(), right.size());
  auto fraction = longer == 0
                    ? 1.0f
                    : static_cast<float>(agree) / static_cast<float>(longer);
  auto exact = ended && agree == longer;
  return {0.5f * fraction + (exact ? 0.5f : 0.0f), exact};
}

batch reward::score(const batch& rollout) {
  auto tokens = require(rollout, field::tokens, dtype::int64, 2);
  auto answers = require(rollout, field::answer, dtype::int64, 2);
  auto rows = tokens.extents()[0];
  auto width = tokens.extents()[1];
  auto columns = answers.extents()[1];
  if (answers.extents()[0] != rows || columns > width)
    throw std::invalid_argument{
      fmt::format("reward: tokens are {} and answers {}", to_string(tokens),
                  to_string(answers))};
  tensor rewards{dtype::float32, {rows}};
  tensor exact{dtype::float32, {rows}};
  std::span<const std::int64_t> all_tokens = tokens.values<std::int64_t>();
  std::span<const std::int64_t> all_answers = answers.values<std::int64_t>();
  auto c = static_cast<std::size_t>(columns);
  for (std::size_t i = 0; i < static_cast<std::size_t>(rows); ++i) {
    auto row_end = (i + 1) * static_cast<std::size_t>(width);
    auto score = score_answer(all_tokens.subspan(row_end - c, c),
                              all_answers.subspan(i * c, c));
    rewards.values<float>()[i] = score.reward;
    exact.values<float>()[i] = score.exact ? 1.0f : 0.0f;
  }
  auto result = rollout;
  result.set(std::string{field::reward}, std::move(rewards));
  result.set(std::string{field::exact}, std::move(exact));
  return result;
}

std::vector<option_spec> reward_options() {
  return {};
}

} // namespace troupe::grpo
