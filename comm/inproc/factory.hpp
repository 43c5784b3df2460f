// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "troupe/comm/communicator.hpp"
#include "troupe/comm/link.hpp"
#include "troupe/comm/options.hpp"
#include "troupe/comm/probe.hpp"

namespace troupe::comm::inproc {

/// Always usable: ranks that are threads of one process need nothing else.
[[nodiscard]] probe_result probe();

/// A group whose ranks all live here: element r is rank r's communicator.
/// Once a rank fails, aborts or drops its communicator, the others' waits end
/// with `errc::lost`. `size` must be positive.
[[nodiscard]] std::vector<communicator_ptr>
make_group(std::int32_t size, const collective_options& options = {});

/// Both ends of one link: first pushes, second pulls. One memcpy per transfer,
/// done by the puller straight from the pusher's memory. Has windows: all of
/// the process.
[[nodiscard]] std::pair<link_ptr, link_ptr> make_link();

} // namespace troupe::comm::inproc
