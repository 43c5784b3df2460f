// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string_view>

#include "troupe/core/error.hpp"

namespace troupe::console {

/// What chooses where a run writes.
inline constexpr std::string_view output_setting = "runtime.output_dir";

/// What a file is called besides its name until it is whole.
inline constexpr const char* draft_suffix = ".part";

/// What the system's error number `code` means for somebody who wanted to
/// `action` (e.g. `write`) `file`: `errc::refused` for missing rights,
/// `errc::exhausted` for a full disk, else `errc::invalid`. The advice names
/// `setting`, which chose the place.
[[nodiscard]] error file_error(int code, std::string_view action,
                               const std::filesystem::path& file,
                               std::string_view setting = output_setting);

/// Writes all of `text` to the descriptor, or returns the error number.
[[nodiscard]] int write_all(int descriptor, std::string_view text) noexcept;

/// Replaces `file` by one that holds `text`: written beside it, then renamed,
/// so that a reader sees the old or the new content and never half of one. A
/// device or a pipe is written to and stays what it is; a pipe that nobody
/// reads is an error. Fails as `file_error` says.
[[nodiscard]] result<void>
write_file(const std::filesystem::path& file, std::string_view text,
           std::string_view setting = output_setting);

/// Whether `write_file` could write there now, for those who would learn it
/// only after long work: a draft is made beside `file` and removed. Fails as
/// `file_error` says.
[[nodiscard]] result<void>
check_writable(const std::filesystem::path& file,
               std::string_view setting = output_setting);

} // namespace troupe::console
