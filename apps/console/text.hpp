// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::console {

/// Columns a terminal needs to show UTF-8 `text`: wide characters count two,
/// combining ones none, escape sequences none.
[[nodiscard]] std::size_t display_width(std::string_view text);

/// `text` without what could disturb a terminal: control characters and bytes
/// that are no UTF-8 become `?`, line ends and tabs become spaces.
[[nodiscard]] std::string printable(std::string_view text);

/// The beginning of `text` that fits `columns`, ending in `...` if cut.
[[nodiscard]] std::string fit(std::string_view text, std::size_t columns);

/// Breaks `text` at spaces into lines of at most `columns`; a longer word
/// stands in a line of its own. Line ends in `text` are kept.
[[nodiscard]] std::vector<std::string> wrap(std::string_view text,
                                            std::size_t columns);

} // namespace troupe::console
