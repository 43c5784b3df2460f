// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "troupe/comm/link.hpp"
#include "troupe/comm/probe.hpp"
#include "troupe/comm/shared_memory.hpp"
#include "troupe/comm/shm/arena.hpp"

namespace troupe::comm::shm {

/// Usable where the kernel has sealed memfds.
[[nodiscard]] probe_result probe();

/// The two sockets over which the ends of one link find each other, each to be
/// handed to one process: SOCK_SEQPACKET, close-on-exec. The caller owns both.
[[nodiscard]] result<std::pair<int, int>> make_sockets();

/// The sending end over one of `make_sockets`; takes `fd`, also on failure.
///
/// What is pushed from an arena among `memories` is read by the receiver
/// straight from there, one copy. Anything else is first copied into a small
/// shared buffer. Memory that is shared by name is read in windows only.
/// `backend` is a constant of the program. Fails with `errc::invalid` if `fd`
/// is no such socket.
[[nodiscard]] result<link_ptr>
make_sender(int fd, std::vector<std::shared_ptr<shared_memory>> memories = {},
            std::string_view backend = "shm");

/// For a list of arenas alone.
template <std::derived_from<shared_memory> T>
[[nodiscard]] result<link_ptr>
make_sender(int fd, const std::vector<std::shared_ptr<T>>& memories) {
  return make_sender(fd, {memories.begin(), memories.end()}, "shm");
}

/// The receiving end; takes `fd`, also on failure. Memory that is shared by
/// name can be handed over only if there is an `opener`.
[[nodiscard]] result<link_ptr>
make_receiver(int fd, std::shared_ptr<memory_opener> opener = {},
              std::string_view backend = "shm");

} // namespace troupe::comm::shm
