// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "troupe/core/error.hpp"

namespace troupe {

/// Extents of a tensor, outermost first. Empty means a scalar.
using shape = std::vector<std::int64_t>;

/// Number of elements. Fails with `errc::invalid` for a negative extent or a
/// product that does not fit: extents may come from a peer or a file.
[[nodiscard]] result<std::int64_t> element_count(const shape& extents);

/// Row-major strides in elements, as DLPack counts them.
[[nodiscard]] std::vector<std::int64_t> row_major_strides(const shape& extents);

/// `"[2, 3]"`.
[[nodiscard]] std::string to_string(const shape& extents);

} // namespace troupe
