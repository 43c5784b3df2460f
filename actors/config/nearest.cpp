// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/config/nearest.hpp"

#include <algorithm>
#include <vector>

namespace troupe::config {

namespace {

/// Longer names are nobody's slip of a key; bounds the work on foreign text.
constexpr std::size_t max_name = 64;

std::string folded(std::string_view name) {
  std::string out{name};
  for (auto& ch : out) {
    if (ch >= 'A' && ch <= 'Z')
      ch = static_cast<char>(ch - 'A' + 'a');
    else if (ch == '-')
      ch = '_';
  }
  return out;
}

} // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
  // Three rows of the usual table: a swap looks back two of them.
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before.swap(last);
    last.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      auto substitute = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, substitute});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::optional<std::string> nearest(std::string_view name,
                                   std::span<const std::string> candidates) {
  if (name.empty() || name.size() > max_name)
    return std::nullopt;
  auto typed = folded(name);
  const std::string* best = nullptr;
  auto best_distance = max_name;
  for (const auto& candidate : candidates) {
    auto wanted = folded(candidate);
    auto distance = edit_distance(typed, wanted);
    auto allowed = std::max<std::size_t>(1,
                                         std::max(typed.size(), wanted.size())
                                           / 3);
    // An abbreviation of at least three letters.
    if (typed.size() >= 3 && wanted.starts_with(typed))
      distance = std::min<std::size_t>(distance, 1);
    if (distance <= allowed && distance < best_distance) {
      best = &candidate;
      best_distance = distance;
    }
  }
  if (best == nullptr)
    return std::nullopt;
  return *best;
}

} // namespace troupe::config
