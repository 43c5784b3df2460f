// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>

#include "troupe/actors/net/event_loop.hpp"
#include "troupe/actors/net/socket_address.hpp"
#include "troupe/actors/process/unique_fd.hpp"
#include "troupe/core/error.hpp"

namespace troupe::net {

/// Binds a TCP port and listens. Fails with `errc::unavailable` if somebody
/// has the port, with `errc::invalid` if the address is not this machine's.
[[nodiscard]] result<process::unique_fd> listen_at(const socket_address& at,
                                                   int backlog = 256);

/// Accepts what comes to a port, for as long as it lives, and does not end
/// where descriptors run out: it then turns strangers away and goes on.
///
/// Threads: the loop's alone.
class listener {
public:
  /// Gets an accepted socket: non-blocking, closed on exec, set up by
  /// `set_up_socket`. May destroy the listener.
  using accepted = std::function<void(process::unique_fd)>;

  /// `loop` must outlive the listener.
  listener(event_loop& loop, process::unique_fd socket, accepted on_accept);

  listener(const listener&) = delete;

  listener& operator=(const listener&) = delete;

  ~listener();

private:
  void accept_all();

  /// True if somebody was turned away.
  bool turn_away();

  event_loop& loop_;
  process::unique_fd socket_;

  /// Given up for a moment where no other descriptor is left.
  process::unique_fd spare_;
  accepted on_accept_;
  event_loop::token watch_ = 0;
  event_loop::token pause_ = 0;
  std::shared_ptr<bool> alive_;
};

} // namespace troupe::net
