// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "troupe/core/batch.hpp"
#include "troupe/core/error.hpp"

namespace troupe::checkpoint {

/// Writes `content` to `file` (folders are made) and returns when it is on the
/// disk. Fails with `errc::refused` for missing rights, `errc::exhausted` for a
/// full disk, else `errc::failed`; names the file and says what to do.
[[nodiscard]] result<void> write_batch(const std::filesystem::path& file,
                                       const batch& content);

/// The inverse. Fails with `errc::lost` if there is no such file and
/// `errc::corrupt` if it holds no batch.
[[nodiscard]] result<batch> read_batch(const std::filesystem::path& file);

} // namespace troupe::checkpoint
