// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/sampler.hpp"

#include <numeric>
#include <random>
#include <stdexcept>
#include <utility>

namespace troupe::grpo {

std::vector<std::size_t> shuffled_indices(std::size_t n, std::uint64_t seed) {
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::mt19937_64 generator{seed};
  // The remainder's bias is below n / 2^64.
  for (auto i = n; i > 1; --i)
    std::swap(order[i - 1], order[generator() % i]);
  return order;
}

sampler::sampler(std::size_t size, std::uint64_t seed, std::uint64_t position)
  : size_(size),
    seed_(seed),
    position_(position) {
  if (size == 0)
    throw std::invalid_argument{"sampler: there is nothing to draw from"};
  load_epoch(position_ / size_);
}

std::vector<std::size_t> sampler::next(std::size_t count) {
  std::vector<std::size_t> indices;
  indices.reserve(count);
  for (; count > 0; --count, ++position_) {
    if (position_ / size_ != epoch_)
      load_epoch(position_ / size_);
    indices.push_back(order_[position_ % size_]);
  }
  return indices;
}

void sampler::load_epoch(std::uint64_t epoch) {
  epoch_ = epoch;
  // Weyl's constant keeps the epochs of neighbouring seeds apart.
  order_ = shuffled_indices(size_, seed_ + epoch * 0x9e3779b97f4a7c15u);
}

} // namespace troupe::grpo
