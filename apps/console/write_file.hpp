// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string_view>

#include "troupe/core/error.hpp"

namespace troupe::console {

/// What the system's error number `code` means for somebody who wanted to
/// `action` (e.g. `write`) `file`: `errc::refused` for missing rights,
/// `errc::exhausted` for a full disk, else `errc::invalid`.
[[nodiscard]] error file_error(int code, std::string_view action,
                               const std::filesystem::path& file);

/// Writes all of `text` to the descriptor, or returns the error number.
[[nodiscard]] int write_all(int descriptor, std::string_view text) noexcept;

/// Replaces `file` by one that holds `text`: written beside it, then renamed,
/// so that a reader sees the old or the new content and never half of one.
[[nodiscard]] result<void> write_file(const std::filesystem::path& file,
                                      std::string_view text);

} // namespace troupe::console
