// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace troupe::planner {

/// How the ranks of one replica share its work. `tensor * pipeline * data *
/// context` is the number of ranks; `expert` divides `data * context * tensor`
/// ranks further and adds none. All are at least 1.
struct parallel_sizes {
  std::int32_t tensor = 1;
  std::int32_t pipeline = 1;
  std::int32_t data = 1;
  std::int32_t context = 1;
  std::int32_t expert = 1;

  /// Ranks of one replica.
  [[nodiscard]] constexpr std::int64_t world() const noexcept {
    return std::int64_t{tensor} * pipeline * data * context;
  }

  bool operator==(const parallel_sizes&) const = default;
};

} // namespace troupe::planner
