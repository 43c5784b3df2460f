// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string_view>

#include "troupe/core/error.hpp"
#include "troupe/planner/weights/shared_layout.hpp"

namespace troupe::planning {

/// Larger files are no layouts that a person hands in.
inline constexpr std::size_t max_layout_bytes = std::size_t{2} << 30;

/// Reads what the ranks of a model store:
///
///   {"model", "ranks": [{"rank", "node", "device", "tensors": [{"name",
///     "dtype", "shape", "segments": [{"logical", "begin", "end",
///     "local_begin"}]}]}]}
///
/// Boxes are half-open, in elements. The text is untrusted. Fails with
/// `errc::invalid` and a message that names file, rank, tensor and segment.
[[nodiscard]] result<planner::weights::shared_layout>
parse_layout(std::string_view text, std::string_view file_name);

[[nodiscard]] result<planner::weights::shared_layout>
load_layout(const std::filesystem::path& file);

} // namespace troupe::planning
