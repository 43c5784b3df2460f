// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "troupe/actors/protocol/monitor.hpp"

namespace troupe::monitor {

/// How near a report is to a cause: 0 is a process that ended, then what a
/// module or the system refused, then deadlines, then peers that noticed a
/// loss, then what was aborted on purpose. The engine's own report comes right
/// after those of others with its code.
[[nodiscard]] int distance_from_cause(const protocol::error_report& x);

/// True if all of `reports` are what others notice when something is lost: the
/// word on what was lost, and why, is still to come.
[[nodiscard]] bool
lacks_cause(const std::vector<protocol::error_report>& reports);

/// The root cause among `reports` (oldest first, not empty) and the others as
/// its consequences, marked with its id. Of two that are equally near the
/// earlier one is the cause. Warnings are neither.
[[nodiscard]] protocol::verdict
conclude(std::vector<protocol::error_report> reports);

} // namespace troupe::monitor
