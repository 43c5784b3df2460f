// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/row_text.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

#include <fmt/core.h>

#include "troupe/core/units.hpp"

namespace troupe::console {

std::string clock_text(duration span) {
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(
                   std::max(span, duration::zero()))
                   .count();
  auto hours = seconds / 3600;
  if (hours > 0)
    return fmt::format("{}:{:02}:{:02}", hours, seconds / 60 % 60,
                       seconds % 60);
  return fmt::format("{:02}:{:02}", seconds / 60, seconds % 60);
}

std::string number_text(double value) {
  auto size = std::abs(value);
  if (!std::isfinite(value) || size >= 1e9 || (size < 1e-3 && size > 0))
    return fmt::format("{:.2g}", value);
  if (size >= 999.5)
    return fmt::format("{}{}", value < 0 ? "-" : "",
                       format_count(
                         static_cast<std::uint64_t>(std::llround(size))));
  if (size >= 99.95)
    return fmt::format("{:.0f}", value);
  if (size >= 9.995)
    return fmt::format("{:.1f}", value);
  return fmt::format("{:.3f}", value);
}

std::string milliseconds_text(double value) {
  if (!std::isfinite(value) || value < 0.1 || value >= 1e6)
    return fmt::format("{:.2g} ms", value);
  return fmt::format("{:.1f} ms", value);
}

std::string phase_count(std::int64_t done, std::int64_t total) {
  if (total > 0)
    return fmt::format(" {}/{}", done, total);
  if (done > 0)
    return fmt::format(" {}", done);
  return {};
}

std::vector<std::string> row_parts(const episode_row& row) {
  std::vector<std::string> out;
  auto put = [&](std::string_view name, const std::optional<double>& value,
                 std::string_view unit = {}) {
    if (value)
      out.push_back(fmt::format("{}{}{}", name, number_text(*value), unit));
  };
  put("reward ", row.mean_reward);
  put("accuracy ", row.eval_accuracy);
  put("", row.tokens_per_second, " tokens/s");
  if (row.sync_ms)
    out.push_back(fmt::format("sync {}", milliseconds_text(*row.sync_ms)));
  put("loss ", row.loss);
  put("kl ", row.kl);
  return out;
}

} // namespace troupe::console
