// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/core/dtype.hpp"

namespace troupe::planner::weights {

/// Whether a sync can turn elements of one type into another: floating point
/// into floating point, anything into itself.
[[nodiscard]] bool convertible(dtype from, dtype to) noexcept;

/// The type in which elements travel: the destination's if it is not larger
/// than the source's, else the source's.
[[nodiscard]] dtype wire_type(dtype source, dtype destination) noexcept;

/// The smallest type that holds what both hold, for a rank that stores a
/// tensor twice. The types must be convertible.
[[nodiscard]] dtype wider(dtype a, dtype b) noexcept;

} // namespace troupe::planner::weights
