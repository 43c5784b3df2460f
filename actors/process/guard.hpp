// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "troupe/actors/process/guard_client.hpp"
#include "troupe/actors/process/unique_fd.hpp"

namespace troupe::process {

/// The guard process's whole life: runs until its node closes `node`, ends in
/// any other way (`node_pid` is watched too, because a forked child of the node
/// may hold the socket open) or asks for the end. Single-threaded; takes no
/// part in SIGINT, SIGTERM and SIGHUP; never returns.
///
/// Call in a process just forked. It becomes the reaper of all its
/// descendants, leads its own session and closes every descriptor but `node`.
[[noreturn]] void guard_main(unique_fd node, std::int32_t node_pid,
                             const guard_settings& config) noexcept;

} // namespace troupe::process
