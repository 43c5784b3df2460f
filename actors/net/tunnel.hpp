// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "troupe/actors/net/endpoint.hpp"
#include "troupe/core/clock.hpp"
#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"

namespace troupe::net {

class tls_identity;

/// A way to one process on another machine that looks like a port of this one:
///
///     connect(127.0.0.1, local_port) == tunnel ==> gate == slot's port there
///
/// Whoever connects to `local_port` therefore never meets an address that
/// swallows packets, a handshake that stalls, or bytes of strangers: all that
/// was settled when `open` returned.
///
/// It serves one connection, whose other end must belong to this user, and
/// ends when either side ends: the other side is closed then, so that both see
/// the loss.
///
/// Threads: all tunnels of a process share one.
class tunnel {
public:
  /// How long the port waits for its connection; then the tunnel ends.
  static constexpr duration accept_max = std::chrono::seconds{10};

  /// Connects to the gate at `to`, with TLS if there is an identity, and asks
  /// for `slot` (`process::node_slot`: the node itself). Blocks. Fails with
  ///  - what `dial` fails with;
  ///  - `errc::refused`: a side does not accept the other's certificate, or
  ///    one of them has none;
  ///  - `errc::unavailable`: no process in that slot;
  ///  - `errc::corrupt`: what answers is no gate;
  ///  - `errc::lost`, `errc::timed_out`.
  [[nodiscard]] static result<std::unique_ptr<tunnel>>
  open(const endpoint& to, const tls_identity* identity, std::int32_t slot,
       deadline until);

  tunnel(const tunnel&) = delete;

  tunnel& operator=(const tunnel&) = delete;

  /// As `close`.
  ~tunnel();

  /// The port of 127.0.0.1 to connect to, once.
  [[nodiscard]] std::uint16_t local_port() const noexcept;

  /// True once either side has ended.
  [[nodiscard]] bool ended() const noexcept;

  /// Ends both sides.
  void close();

private:
  struct impl;

  explicit tunnel(std::unique_ptr<impl> x);

  std::unique_ptr<impl> impl_;
};

} // namespace troupe::net
