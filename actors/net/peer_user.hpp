// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include <sys/types.h>

#include "troupe/actors/net/socket_address.hpp"

namespace troupe::net {

/// The user who holds the other end of a TCP connection within this machine,
/// as /proc/net/tcp and tcp6 have it. Nothing if the other end is elsewhere, or
/// closed already: a socket that nobody holds any more is listed as root's.
///
/// Complexity: linear in the machine's connections.
[[nodiscard]] std::optional<uid_t> peer_user(int socket);

/// True if that is the user this process acts as.
[[nodiscard]] bool peer_is_us(int socket);

/// The user of the established connection from `from` to `to` in a table with
/// the lines of /proc/net/tcp or tcp6.
[[nodiscard]] std::optional<uid_t> find_user(std::string_view table,
                                             const socket_address& from,
                                             const socket_address& to);

} // namespace troupe::net
