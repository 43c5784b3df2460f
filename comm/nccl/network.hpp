// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace troupe::comm::nccl {

/// Has NCCL open its sockets on the interface of this machine that has
/// `address` (a number or a name), by `NCCL_SOCKET_IFNAME`: left to itself it
/// takes the first that it likes, which others may not reach. Leaves the user's
/// choice alone (`chosen_setting`).
///
/// Gives back what was chosen and why, for the log; empty if the user has. No
/// interface may have the address (of a gateway, for example), or a name may only
/// stand for this machine alone (127.0.0.1): then NCCL chooses, and the text
/// says so. Before NCCL is used, before threads.
[[nodiscard]] std::string use_network_of(const std::string& address);

} // namespace troupe::comm::nccl
