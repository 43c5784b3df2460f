// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/sampling.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>

namespace troupe::torch {

namespace {

double mass(std::span<const float> logits, double largest, double temperature) {
  double total = 0;
  for (auto x : logits)
    total += std::exp((x - largest) / temperature);
  if (!std::isfinite(total))
    throw std::runtime_error{
      "the policy's logits are not finite: its weights have left the range of "
      "numbers; go back to a checkpoint, with a lower learning_rate"};
  return total;
}

} // namespace

drawn_token draw(std::span<const float> logits, double temperature, double u) {
  double largest = *std::ranges::max_element(logits);
  auto total = mass(logits, largest, temperature);
  auto left = u * total;
  std::size_t chosen = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    auto weight = std::exp((logits[i] - largest) / temperature);
    if (weight > 0)
      chosen = i;
    left -= weight;
    if (left < 0)
      break;
  }
  auto logprob = (logits[chosen] - largest) / temperature - std::log(total);
  return {static_cast<std::int64_t>(chosen), static_cast<float>(logprob)};
}

drawn_token most_likely(std::span<const float> logits) {
  auto best = std::ranges::max_element(logits);
  auto total = mass(logits, *best, 1);
  return {best - logits.begin(), static_cast<float>(-std::log(total))};
}

} // namespace troupe::torch
