// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/dataset.hpp"

#include <algorithm>
#include <numeric>
#include <random>
#include <set>

#include <fmt/format.h>

#include "troupe/apps/grpo/sampler.hpp"
#include "troupe/apps/grpo/schema.hpp"

namespace troupe::grpo {

std::vector<example> two_digit_addition() {
  std::vector<example> examples;
  examples.reserve(8100);
  for (int a = 10; a <= 99; ++a)
    for (int b = 10; b <= 99; ++b)
      examples.push_back(
        {fmt::format("{}+{}=", a, b), fmt::format("{}", a + b)});
  return examples;
}

batch dataset::rows(const std::vector<example>& part, std::size_t begin,
                    std::size_t end) const {
  std::vector<std::size_t> indices(end - begin);
  std::iota(indices.begin(), indices.end(), begin);
  return rows(part, indices);
}

batch dataset::rows(const std::vector<example>& part,
                    const std::vector<std::size_t>& indices) const {
  auto n = std::ssize(indices);
  tensor prompt{dtype::int64, {n, prompt_length}};
  tensor padding{dtype::int64, {n}};
  tensor answer{dtype::int64, {n, completion_length}};
  tensor group{dtype::int64, {n}};
  std::ranges::fill(prompt.values<std::int64_t>(), tokenizer::pad);
  std::ranges::fill(answer.values<std::int64_t>(), tokenizer::pad);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const auto& x = part.at(indices[i]);
    auto row = static_cast<std::int64_t>(i);
    auto question = tokenizer.encode(x.prompt);
    auto pads = prompt_length - std::ssize(question);
    std::ranges::copy(question, prompt.values<std::int64_t>().begin()
                                  + row * prompt_length + pads);
    padding.values<std::int64_t>()[i] = pads;
    auto right = tokenizer.encode(x.answer);
    right.push_back(tokenizer::end);
    std::ranges::copy(right, answer.values<std::int64_t>().begin()
                               + row * completion_length);
    group.values<std::int64_t>()[i] = row;
  }
  batch result;
  result.set(std::string{field::prompt}, std::move(prompt));
  result.set(std::string{field::padding}, std::move(padding));
  result.set(std::string{field::answer}, std::move(answer));
  result.set(std::string{field::group}, std::move(group));
  return result;
}

result<dataset> split_dataset(std::vector<example> examples,
                              std::uint64_t seed) {
  constexpr std::size_t fewest = 24;
  auto n = examples.size();
  if (n < fewest)
    return fail(errc::invalid, fmt::format("the dataset has {} distinct "
                                           "examples and needs at least {}",
                                           n, fewest));
  dataset out;
  std::set<char> characters;
  for (const auto& x : examples) {
    characters.insert(x.prompt.begin(), x.prompt.end());
    characters.insert(x.answer.begin(), x.answer.end());
    out.prompt_length = std::max(out.prompt_length, std::ssize(x.prompt));
    out.completion_length = std::max(out.completion_length,
                                     std::ssize(x.answer) + 1);
  }
  out.tokenizer = grpo::tokenizer{
    std::string(characters.begin(), characters.end())};
  auto test = n >= 6000 ? std::size_t{1000} : n / 6;
  auto dev = n >= 6000 ? std::size_t{500} : n / 12;
  auto order = shuffled_indices(n, seed);
  for (std::size_t i = 0; i < n; ++i) {
    auto& part = i < test ? out.test : i < test + dev ? out.dev : out.train;
    part.push_back(std::move(examples[order[i]]));
  }
  return out;
}

} // namespace troupe::grpo
