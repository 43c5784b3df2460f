// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/actors/net/endpoint.hpp"
#include "troupe/actors/net/socket_address.hpp"
#include "troupe/actors/process/unique_fd.hpp"
#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"

namespace troupe::net {

/// How long somebody may take to answer before the address is taken for wrong.
inline constexpr duration dial_budget = std::chrono::seconds{2};

/// Connects to an endpoint, trying all its addresses, each with an equal share
/// of the time left. Blocks until the deadline at most, however the network
/// swallows what it is sent. The socket is non-blocking, closed on exec and set
/// up by `set_up_socket`. Fails with
///  - `errc::unavailable`: nobody listens there, or no way leads there;
///  - `errc::timed_out`: no answer by the deadline;
///  - what `resolve` fails with.
[[nodiscard]] result<process::unique_fd>
dial(const endpoint& to, deadline until = deadline::after(dial_budget));

/// Begins to connect to one address and does not wait. Writable once it is
/// done; `connect_error` says how it went. Fails with `errc::unavailable` or
/// `errc::exhausted`.
[[nodiscard]] result<process::unique_fd>
begin_connect(const socket_address& to);

/// 0 if connected, else why not, as errno has it.
[[nodiscard]] int connect_error(int socket) noexcept;

/// No waiting for more to send, and an end to connections whose other side has
/// vanished without a word (about 20 s).
void set_up_socket(int socket) noexcept;

/// Waits until `fd` is ready for `events` (of poll). Fails with
/// `errc::timed_out`.
[[nodiscard]] result<void> await_ready(int fd, short events, deadline until);

} // namespace troupe::net
