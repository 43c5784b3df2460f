// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "troupe/comm/link.hpp"
#include "troupe/comm/probe.hpp"
#include "troupe/comm/shm/arena.hpp"

namespace troupe::comm::shm {

/// Usable where the kernel has sealed memfds.
[[nodiscard]] probe_result probe();

/// The two sockets over which the ends of one link find each other, each to be
/// handed to one process: SOCK_SEQPACKET, close-on-exec. The caller owns both.
[[nodiscard]] result<std::pair<int, int>> make_sockets();

/// The sending end over one of `make_sockets`; takes `fd`, also on failure.
///
/// What is pushed from one of `arenas` is read by the receiver straight from
/// there, one copy. Anything else is first copied into a small shared buffer.
/// Fails with `errc::invalid` if `fd` is no such socket.
[[nodiscard]] result<link_ptr>
make_sender(int fd, std::vector<std::shared_ptr<arena>> arenas = {});

/// The receiving end; takes `fd`, also on failure.
[[nodiscard]] result<link_ptr> make_receiver(int fd);

} // namespace troupe::comm::shm
