// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace troupe::config {

/// Insertions, deletions, substitutions and swaps of neighbours that turn `a`
/// into `b` (optimal string alignment). Complexity: |a| * |b|.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate a person who typed `name` probably meant: one that begins
/// with `name` or differs in at most a third of its characters. The first of
/// equals. Letter case counts little.
[[nodiscard]] std::optional<std::string>
nearest(std::string_view name, std::span<const std::string> candidates);

} // namespace troupe::config
