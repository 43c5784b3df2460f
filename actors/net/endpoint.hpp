// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/core/error.hpp"

namespace troupe::net {

/// Where a machine of the job is reached: a name or an address, and a port.
struct endpoint {
  /// A host name, an IPv4 address, or an IPv6 address without brackets.
  std::string host;

  /// 0 only where a port is to be chosen by the system.
  std::uint16_t port = 0;

  bool operator==(const endpoint&) const = default;
};

/// Most entries of a list of endpoints.
inline constexpr std::size_t endpoints_max = 65536;

/// Reads `"node-a:4100"`, `"10.0.0.1:4100"` or `"[::1]:4100"`. Fails with
/// `errc::invalid` and a sentence that names the text, what is wrong with it
/// and an example. Nothing is looked up.
[[nodiscard]] result<endpoint> parse_endpoint(std::string_view text);

/// Reads a list with commas, `"a:4100,b:4100"`; blanks around an entry do not
/// count. An entry may stand there once and needs a port above 0. Errors as
/// `parse_endpoint`.
[[nodiscard]] result<std::vector<endpoint>>
parse_endpoints(std::string_view text);

/// The form `parse_endpoint` reads.
[[nodiscard]] std::string to_string(const endpoint& x);

/// True for `localhost` and for literal loopback addresses: 127.0.0.0/8, ::1
/// and ::ffff:127.0.0.0/104. Another name is not looked up, so it is false
/// even where it leads to this machine.
[[nodiscard]] bool is_loopback(const endpoint& x);

} // namespace troupe::net
