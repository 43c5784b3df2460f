// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace troupe::console {

/// Remembers a course of values in bounded memory: when it is full, neighbours
/// are averaged and every later entry stands for twice as many values.
class history {
public:
  /// Values that are not finite are dropped.
  void push(double value);

  [[nodiscard]] const std::vector<double>& values() const noexcept {
    return values_;
  }

private:
  static constexpr std::size_t capacity = 1024;

  std::vector<double> values_;
  std::size_t stride_ = 1;
  double sum_ = 0;
  std::size_t pending_ = 0;
};

/// A line of at most `columns` characters whose heights follow `values`, drawn
/// from the least to the greatest of them.
[[nodiscard]] std::string sparkline(std::span<const double> values,
                                    std::size_t columns, bool unicode);

/// A bar `columns` wide, filled for `share` (0 to 1) of it.
[[nodiscard]] std::string bar(double share, std::size_t columns, bool unicode);

} // namespace troupe::console
