// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <sys/socket.h>

#include "troupe/actors/net/endpoint.hpp"
#include "troupe/actors/process/unique_fd.hpp"
#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"

namespace troupe::net {

/// An address as the kernel takes it.
class socket_address {
public:
  socket_address() = default;

  socket_address(const sockaddr* from, socklen_t size) noexcept;

  /// 127.0.0.1 and a port.
  [[nodiscard]] static socket_address loopback(std::uint16_t port) noexcept;

  /// Who is at the other end of a socket; an empty one if it has no such end
  /// any more.
  [[nodiscard]] static socket_address of_peer(int socket) noexcept;

  /// What a socket is bound to.
  [[nodiscard]] static socket_address of_socket(int socket) noexcept;

  [[nodiscard]] const sockaddr* data() const noexcept {
    return reinterpret_cast<const sockaddr*>(&storage_);
  }

  [[nodiscard]] socklen_t size() const noexcept { return size_; }

  /// AF_INET, AF_INET6, or AF_UNSPEC for an empty one.
  [[nodiscard]] int family() const noexcept { return storage_.ss_family; }

  [[nodiscard]] std::uint16_t port() const noexcept;

  /// Also for ::ffff:127.0.0.1.
  [[nodiscard]] bool is_loopback() const noexcept;

  /// The address in figures.
  [[nodiscard]] endpoint to_endpoint() const;

private:
  sockaddr_storage storage_{};
  socklen_t size_ = 0;
};

/// `"10.0.0.1:4100"`, `"[::1]:4100"`; `"somebody"` for an empty one.
[[nodiscard]] std::string to_string(const socket_address& x);

/// Looks a name up: getaddrinfo, or what a test puts in its place.
using lookup_function = std::function<result<std::vector<socket_address>>(
  const endpoint&)>;

/// The addresses of an endpoint. A literal one is read at once; a name is
/// looked up on a thread of its own, because a resolver may take as long as it
/// likes, and given up at the deadline. Fails with
///  - `errc::invalid`: nobody knows the name;
///  - `errc::unavailable`: the resolver does not work at the moment;
///  - `errc::timed_out`;
///  - `errc::exhausted`: `lookups_max` are under way, none of which ended in
///    time.
[[nodiscard]] result<std::vector<socket_address>>
resolve(const endpoint& x, deadline until, lookup_function lookup = {});

/// Lookups of a process at a time, those that hang included; further ones wait.
inline constexpr int lookups_max = 32;

} // namespace troupe::net
