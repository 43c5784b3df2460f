// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace troupe::model {

/// Whether what blocks gets threads of its own. Real hosts need them, because a
/// module may compute and a transfer or a disk may wait for minutes; scheduler
/// tests must not have them.
enum class worker_threads : std::uint8_t { own, shared };

} // namespace troupe::model
