// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "troupe/apps/console/episode_row.hpp"
#include "troupe/core/error.hpp"

namespace troupe::console {

/// Mean reward and evaluation accuracy over the episodes as an SVG drawing
/// that stands alone. Values that are absent or not finite leave a gap.
[[nodiscard]] std::string render_plot(std::span<const episode_row> rows,
                                      std::string_view title);

/// Writes `render_plot` to `file`, completely or not at all.
[[nodiscard]] result<void> write_plot(const std::filesystem::path& file,
                                      std::span<const episode_row> rows,
                                      std::string_view title = "Reward");

} // namespace troupe::console
