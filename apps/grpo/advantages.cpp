// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/advantages.hpp"

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <unordered_map>

#include <fmt/format.h>

#include "troupe/apps/grpo/schema.hpp"

namespace troupe::grpo {

namespace {

struct statistics {
  double count = 0;
  double sum = 0;
  double squares = 0; // of distances from the mean, second pass

  [[nodiscard]] double mean() const noexcept { return sum / count; }

  [[nodiscard]] double deviation() const noexcept {
    return std::sqrt(squares / count);
  }
};

} // namespace

batch group_advantages(const batch& samples) {
  auto rewards = require_floats(samples, field::reward);
  auto groups = require_ids(samples, field::group);
  if (rewards.size() != groups.size())
    throw std::invalid_argument{
      fmt::format("advantages: {} rewards for {} group numbers", rewards.size(),
                  groups.size())};
  std::unordered_map<std::int64_t, statistics> of_group;
  for (std::size_t i = 0; i < rewards.size(); ++i) {
    if (!std::isfinite(rewards[i]))
      throw std::invalid_argument{
        fmt::format("advantages: the reward of row {} is {}", i, rewards[i])};
    auto& s = of_group[groups[i]];
    s.count += 1;
    s.sum += rewards[i];
  }
  for (std::size_t i = 0; i < rewards.size(); ++i) {
    auto& s = of_group[groups[i]];
    auto distance = rewards[i] - s.mean();
    s.squares += distance * distance;
  }
  tensor advantages{dtype::float32,
                    {static_cast<std::int64_t>(rewards.size())}};
  auto out = advantages.values<float>();
  for (std::size_t i = 0; i < rewards.size(); ++i) {
    const auto& s = of_group[groups[i]];
    out[i] = static_cast<float>((rewards[i] - s.mean())
                                / (s.deviation() + 1e-6));
  }
  auto result = samples;
  result.set(std::string{field::advantage}, std::move(advantages));
  return result;
}

} // namespace troupe::grpo
