// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "troupe/core/error.hpp"

namespace troupe::config {

/// The content of a file, at most `max_bytes` + 1 of it: one more tells the
/// caller that there is too much. Fails with `errc::invalid`.
[[nodiscard]] result<std::string>
read_text_file(const std::filesystem::path& file, std::size_t max_bytes);

} // namespace troupe::config
