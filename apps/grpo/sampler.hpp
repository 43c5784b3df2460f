// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace troupe::grpo {

/// 0 to n - 1 in an order that follows from `seed` alone, on every standard
/// library (Fisher-Yates over std::mt19937_64).
[[nodiscard]] std::vector<std::size_t> shuffled_indices(std::size_t n,
                                                        std::uint64_t seed);

/// Draws examples without replacement, epoch after epoch, each in an order of
/// its own. What it draws next follows from (size, seed, position), so a run
/// resumes exactly where it stopped by remembering one number.
class sampler {
public:
  /// `size` > 0 examples; `position` counts the examples drawn before.
  sampler(std::size_t size, std::uint64_t seed, std::uint64_t position = 0);

  /// The next `count` indices; a batch may span two epochs.
  [[nodiscard]] std::vector<std::size_t> next(std::size_t count);

  /// Examples drawn since the start, over all epochs.
  [[nodiscard]] std::uint64_t position() const noexcept { return position_; }

private:
  void load_epoch(std::uint64_t epoch);

  std::size_t size_;
  std::uint64_t seed_;
  std::uint64_t position_;
  std::uint64_t epoch_ = 0;
  std::vector<std::size_t> order_;
};

} // namespace troupe::grpo
