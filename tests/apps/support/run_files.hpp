// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace troupe::test {

/// All white space as single spaces: what a person reads, however it is
/// wrapped.
[[nodiscard]] std::string flat(std::string_view text);

/// The last `count` lines.
[[nodiscard]] std::string last_lines(std::string_view text, std::size_t count);

[[nodiscard]] std::vector<std::string> lines_of(std::string_view text);

[[nodiscard]] bool contains(std::string_view text, std::string_view part);

/// Empty for a file that cannot be read.
[[nodiscard]] std::string read_file(const std::filesystem::path& file);

/// The objects of a file with one a line. Throws nlohmann's exception for a
/// line that is none.
[[nodiscard]] std::vector<nlohmann::json>
read_rows(const std::filesystem::path& file);

/// What lies in the folders of the runs below `runs` and is none of what a run
/// leaves for its user: sockets, drafts, checkpoints that are not complete.
[[nodiscard]] std::vector<std::filesystem::path>
leftovers(const std::filesystem::path& runs);

/// The metrics of a run without what the clock says.
[[nodiscard]] std::vector<nlohmann::json>
timeless_metrics(const std::filesystem::path& run);

} // namespace troupe::test
