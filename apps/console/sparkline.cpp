// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/sparkline.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

namespace troupe::console {

namespace {

constexpr std::array<std::string_view, 8> blocks{"\u2581", "\u2582", "\u2583",
                                                 "\u2584", "\u2585", "\u2586",
                                                 "\u2587", "\u2588"};

constexpr std::array<std::string_view, 8> letters{"_", ".", "-", "~",
                                                  "=", "+", "*", "#"};

} // namespace

void history::push(double value) {
  if (!std::isfinite(value))
    return;
  sum_ += value;
  if (++pending_ < stride_)
    return;
  values_.push_back(sum_ / static_cast<double>(pending_));
  sum_ = 0;
  pending_ = 0;
  if (values_.size() < capacity)
    return;
  for (std::size_t i = 0; i < capacity / 2; ++i)
    values_[i] = (values_[2 * i] + values_[2 * i + 1]) / 2;
  values_.resize(capacity / 2);
  stride_ *= 2;
}

std::string sparkline(std::span<const double> values, std::size_t columns,
                      bool unicode) {
  if (values.empty() || columns == 0)
    return {};
  auto count = std::min(values.size(), columns);
  std::vector<double> means(count);
  for (std::size_t i = 0; i < count; ++i) {
    auto first = i * values.size() / count;
    auto last = (i + 1) * values.size() / count;
    for (auto j = first; j < last; ++j)
      means[i] += values[j] / static_cast<double>(last - first);
  }
  auto [least, most] = std::minmax_element(means.begin(), means.end());
  auto low = *least;
  auto span = *most - low;
  const auto& steps = unicode ? blocks : letters;
  std::string out;
  for (auto mean : means) {
    auto height = span > 0 ? (mean - low) / span : 0.0;
    out += steps[static_cast<std::size_t>(std::lround(height * 7))];
  }
  return out;
}

std::string bar(double share, std::size_t columns, bool unicode) {
  if (!(share >= 0))
    share = 0;
  share = std::min(share, 1.0);
  auto full = static_cast<std::size_t>(
    std::floor(share * static_cast<double>(columns)));
  std::string out;
  for (std::size_t i = 0; i < columns; ++i) {
    if (i < full)
      out += unicode ? "\u2501" : "#";
    else
      out += unicode ? "\u2500" : "-";
  }
  return out;
}

} // namespace troupe::console
