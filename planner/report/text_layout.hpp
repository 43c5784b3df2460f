// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::planner::report {

/// How a piece of text looks on a terminal.
enum class style : std::uint8_t {
  plain,
  title,
  faint,
  good,
  warning,
  bad,
  /// The first of the colours that tell models apart; add an index.
  model,
};

/// Wraps `text` in escapes; `model` picks among six colours.
[[nodiscard]] std::string paint(std::string_view text, style how, bool colour,
                                std::size_t model = 0);

/// Columns that UTF-8 `text` takes: its code points. Wide and combining
/// characters are not told apart.
[[nodiscard]] std::size_t width_of(std::string_view text) noexcept;

/// Control characters, which could break a line or steer a terminal, as '?'.
[[nodiscard]] std::string printable(std::string_view text);

/// `text` padded on the right, or cut with a '~' at the end.
[[nodiscard]] std::string fit(std::string_view text, std::size_t width);

/// The same, padded on the left.
[[nodiscard]] std::string fit_right(std::string_view text, std::size_t width);

/// Lines of at most `width` columns, cut between words (longer words inside).
/// Lines after the first begin with `indent` spaces.
[[nodiscard]] std::vector<std::string>
wrap(std::string_view text, std::size_t width, std::size_t indent = 0);

/// A name in lines of at most `width` columns, cut after '_' or '-' if there is
/// one.
[[nodiscard]] std::vector<std::string> wrap_name(std::string_view name,
                                                 std::size_t width);

/// `"[######----]"`: `width` marks, at least one if `part` > 0.
[[nodiscard]] std::string bar(double part, std::size_t width);

} // namespace troupe::planner::report
