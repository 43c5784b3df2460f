// SPDX-License-Identifier: Apache-2.0
#include "troupe/core/shape.hpp"

#include <fmt/format.h>

namespace troupe {

result<std::int64_t> element_count(const shape& extents) {
  std::int64_t count = 1;
  for (auto extent : extents) {
    if (extent < 0)
      return fail(errc::invalid, fmt::format("shape {} has a negative extent",
                                             to_string(extents)));
    if (__builtin_mul_overflow(count, extent, &count))
      return fail(errc::invalid, fmt::format("shape {} has too many elements",
                                             to_string(extents)));
  }
  return count;
}

std::vector<std::int64_t> row_major_strides(const shape& extents) {
  std::vector<std::int64_t> strides(extents.size(), 1);
  for (auto i = extents.size(); i-- > 1;)
    strides[i - 1] = strides[i] * extents[i];
  return strides;
}

std::string to_string(const shape& extents) {
  return fmt::format("[{}]", fmt::join(extents, ", "));
}

} // namespace troupe
