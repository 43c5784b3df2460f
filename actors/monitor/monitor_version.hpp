// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace troupe::monitor {

/// Changes whenever a line that monitors read changes its meaning: a run and
/// whoever looks at it must agree.
inline constexpr std::uint32_t monitor_version = 1;

} // namespace troupe::monitor
