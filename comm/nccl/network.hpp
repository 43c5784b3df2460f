// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace troupe::comm::nccl {

/// Where NCCL reads settings besides the environment, which goes first there:
/// `NCCL_CONF_FILE` or `~/.nccl.conf`, and `/etc/nccl.conf`.
[[nodiscard]] std::vector<std::filesystem::path> settings_files();

/// Has NCCL open its sockets on the interface of this machine that has
/// `address` (a number or a name), by `NCCL_SOCKET_IFNAME`: left to itself it
/// takes the first that it likes, which others may not reach. Leaves the user's
/// choice alone, in the environment or in one of `files`.
///
/// Gives back what was chosen and why, for the log; empty if the user has. No
/// interface may have the address (of a gateway, for example): then NCCL
/// chooses, and the text says so. Before NCCL is used, before threads.
[[nodiscard]] std::string use_network_of(
  const std::string& address,
  const std::vector<std::filesystem::path>& files = settings_files());

} // namespace troupe::comm::nccl
