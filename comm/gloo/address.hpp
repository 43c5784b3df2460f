// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include <sys/socket.h>

#include "troupe/comm/socket.hpp"
#include "troupe/core/codec.hpp"
#include "troupe/core/error.hpp"
#include "troupe/core/ids.hpp"

namespace troupe::comm::gloo {

/// An IPv4 or IPv6 address with a port.
struct inet_address {
  sockaddr_storage storage{};
  socklen_t length = 0;

  [[nodiscard]] const sockaddr* raw() const noexcept {
    return reinterpret_cast<const sockaddr*>(&storage);
  }

  /// The address without the port, e.g. `"127.0.0.1"`.
  [[nodiscard]] std::string host() const;
};

/// Drawn at random by every endpoint: who knows it has read its address.
using nonce = std::array<std::byte, 16>;

/// What an endpoint's address says.
struct contact {
  inet_address where;
  nonce secret{};
  rank_id rank;
  std::int32_t size = 0;
};

[[nodiscard]] bytes encode(const contact& x);

/// Trusts nothing: `errc::invalid` for bytes that are no contact.
[[nodiscard]] result<contact> decode_contact(const bytes& in);

[[nodiscard]] nonce random_nonce();

/// Looks up `host` (a name or a number) or, if not empty, `interface`. Names
/// are resolved before Gloo sees them: it crashes on one that does not exist.
[[nodiscard]] result<inet_address> resolve(const std::string& host,
                                           const std::string& interface);

/// A non-blocking socket that listens on a free port of `where`, and its
/// address.
[[nodiscard]] result<std::pair<socket, inet_address>>
listen_at(const inet_address& where);

} // namespace troupe::comm::gloo
