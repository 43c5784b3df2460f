// SPDX-License-Identifier: Apache-2.0
#include "troupe/core/units.hpp"

#include <array>

#include <fmt/core.h>

namespace troupe {

std::string format_bytes(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> names{"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < kib)
    return fmt::format("{} B", bytes);
  auto value = static_cast<double>(bytes) / static_cast<double>(kib);
  std::size_t unit = 0;
  // 1023.95 would print as "1024.0".
  while (value >= 1023.95 && unit + 1 < names.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, names[unit]);
}

std::string format_duration(std::chrono::nanoseconds span) {
  auto ns = static_cast<double>(span.count());
  if (ns < 1e3)
    return fmt::format("{} ns", span.count());
  if (ns < 1e6)
    return fmt::format("{:.0f} us", ns / 1e3);
  if (ns < 1e9)
    return fmt::format("{:.1f} ms", ns / 1e6);
  if (ns < 60e9)
    return fmt::format("{:.1f} s", ns / 1e9);
  auto seconds = span.count() / 1'000'000'000;
  return fmt::format("{} min {:02} s", seconds / 60, seconds % 60);
}

std::string format_count(std::uint64_t count) {
  auto digits = std::to_string(count);
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0)
      out += ',';
    out += digits[i];
  }
  return out;
}

} // namespace troupe
