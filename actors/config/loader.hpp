// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "troupe/actors/config/job_config.hpp"
#include "troupe/actors/config/schema.hpp"
#include "troupe/core/error.hpp"

namespace troupe::config {

/// Limits on a configuration file; what exceeds them is refused unread.
inline constexpr std::size_t max_file_bytes = 256 * 1024;
inline constexpr std::size_t max_nesting = 16;

/// Reads and resolves a configuration.
///
/// `overrides` are what `--set` was given: `runtime.seed=3`,
/// `models.policy.temperature=0.7`, `runtime.colocation=[[a, b]]`. They replace
/// or add to what the text says, later ones win, and they are checked alike.
///
/// Errors: `errc::invalid` with up to ten problems, one a line, each in the
/// form `FILE:LINE: KEY: what is wrong; what is allowed`; overrides have
/// `--set` in place of `FILE:LINE`. The text is untrusted: whatever it holds
/// gives an error or a configuration, never a crash.
[[nodiscard]] result<job_config>
parse(std::string_view text, std::string_view file_name,
      const app_schema& schema, std::span<const std::string> overrides = {});

/// `parse` of a file's content.
[[nodiscard]] result<job_config>
load(const std::filesystem::path& file, const app_schema& schema,
     std::span<const std::string> overrides = {});

/// The value of the key `app`, which selects the application before there is a
/// schema to check the rest against. Empty if the file does not say.
[[nodiscard]] result<std::string> peek_app(const std::filesystem::path& file);

} // namespace troupe::config
