// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/actors/process/unique_fd.hpp"
#include "troupe/core/error.hpp"

namespace troupe::process {

/// A port nobody else can get: the socket is bound. Whoever needs the port
/// listens on `socket` (or passes it on) instead of binding again.
struct held_port {
  std::uint16_t port = 0;
  unique_fd socket;
};

/// Hands out TCP ports of one address by binding them, so that what it returns
/// is free and stays ours. No port is handed out twice, not even after its
/// socket was closed. One thread at a time.
class port_manager {
public:
  /// Ports the kernel picks.
  explicit port_manager(std::string address = "127.0.0.1");

  /// Ports [first, last] in order, skipping those in use.
  port_manager(std::string address, std::uint16_t first, std::uint16_t last);

  /// The next free port. Fails with `errc::exhausted` past the end of the
  /// range and with `errc::invalid` if the address is not an IPv4 address of
  /// this machine.
  [[nodiscard]] result<held_port> take();

private:
  result<held_port> take_from_range();

  result<held_port> take_any();

  std::string address_;
  bool range_ = false;
  std::uint32_t next_ = 0;
  std::uint32_t last_ = 0;
  std::set<std::uint16_t> handed_out_;
};

/// A fixed list of ports that every address may use, as ChatLearn's
/// `PortManager`: the n-th request of an address gets the n-th port. Pure: no
/// port is bound or tried.
class custom_ports {
public:
  explicit custom_ports(std::vector<std::uint16_t> list);

  /// Reads `"20000;20001;..."` as ChatLearn reads CUSTOM_PORTS: ports of its
  /// own services are left out, and so are the first two of the rest.
  [[nodiscard]] static result<custom_ports> parse(std::string_view text);

  /// Fails with `errc::exhausted` past the end of the list.
  [[nodiscard]] result<std::uint16_t> next(std::string_view address);

  [[nodiscard]] const std::vector<std::uint16_t>& list() const noexcept {
    return list_;
  }

private:
  std::vector<std::uint16_t> list_;
  std::map<std::string, std::size_t, std::less<>> used_;
};

} // namespace troupe::process
