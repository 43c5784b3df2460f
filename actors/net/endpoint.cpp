// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/endpoint.hpp"

#include <algorithm>
#include <charconv>
#include <set>

#include <arpa/inet.h>
#include <fmt/format.h>

#include "troupe/actors/net/peer_text.hpp"

namespace troupe::net {

namespace {

// As DNS has it.
constexpr std::size_t host_bytes_max = 253;

// What an error quotes of a text that is longer.
constexpr std::size_t quoted_bytes_max = 80;

/// What a person typed, safe to print.
std::string quoted(std::string_view text) {
  auto out = printable(std::string{text.substr(0, quoted_bytes_max)});
  if (text.size() > quoted_bytes_max)
    out += "...";
  return out;
}

tl::unexpected<error> wrong(std::string_view text, std::string_view what) {
  return fail(errc::invalid,
              fmt::format("'{}' is no address of a machine: {}; write "
                          "HOST:PORT, e.g. node-a:4100, 10.0.0.1:4100 or "
                          "[::1]:4100",
                          quoted(text), what));
}

bool is_host_name(std::string_view x) {
  auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  };
  return !x.empty() && x.size() <= host_bytes_max && x.front() != '-'
         && std::all_of(x.begin(), x.end(), allowed);
}

bool is_ipv6(const std::string& x) {
  in6_addr ignored;
  return ::inet_pton(AF_INET6, x.c_str(), &ignored) == 1;
}

std::string_view trimmed(std::string_view x) {
  while (!x.empty() && x.front() == ' ')
    x.remove_prefix(1);
  while (!x.empty() && x.back() == ' ')
    x.remove_suffix(1);
  return x;
}

} // namespace

result<endpoint> parse_endpoint(std::string_view text) {
  if (text.empty())
    return wrong(text, "it is empty");
  endpoint out;
  std::string_view port;
  if (text.front() == '[') {
    auto close = text.find(']');
    if (close == std::string_view::npos)
      return wrong(text, "the bracket is not closed");
    out.host = text.substr(1, close - 1);
    auto rest = text.substr(close + 1);
    // inet_pton reads up to a zero byte.
    if (out.host.find('\0') != std::string::npos || !is_ipv6(out.host))
      return wrong(text, "what stands in brackets is not an IPv6 address");
    if (rest.empty() || rest.front() != ':')
      return wrong(text, "the port is missing");
    port = rest.substr(1);
  } else {
    auto colon = text.find(':');
    if (colon == std::string_view::npos)
      return wrong(text, "the port is missing");
    if (text.find(':', colon + 1) != std::string_view::npos)
      return wrong(text, "it has more than one colon, and an IPv6 address "
                         "stands in brackets");
    out.host = text.substr(0, colon);
    if (out.host.empty())
      return wrong(text, "the host is missing");
    if (!is_host_name(out.host))
      return wrong(text, "a host name is made of letters, digits, '-', '_' "
                         "and '.'");
    port = text.substr(colon + 1);
  }
  auto [at, bad] = std::from_chars(port.data(), port.data() + port.size(),
                                   out.port);
  if (bad != std::errc{} || at != port.data() + port.size())
    return wrong(text, "a port is a number from 1 to 65535");
  return out;
}

result<std::vector<endpoint>> parse_endpoints(std::string_view text) {
  std::vector<endpoint> out;
  std::set<std::string> known;
  for (;;) {
    auto end = std::min(text.find(','), text.size());
    auto word = trimmed(text.substr(0, end));
    auto x = parse_endpoint(word);
    if (!x)
      return fail(x.error());
    if (x->port == 0)
      return wrong(word, "a port is a number from 1 to 65535");
    if (!known.insert(to_string(*x)).second)
      return wrong(word, "it stands in the list twice");
    if (out.size() >= endpoints_max)
      return fail(errc::invalid, fmt::format("the list of machines has more "
                                             "than {} entries",
                                             endpoints_max));
    out.push_back(std::move(*x));
    if (end == text.size())
      return out;
    text.remove_prefix(end + 1);
  }
}

std::string to_string(const endpoint& x) {
  if (x.host.find(':') != std::string::npos)
    return fmt::format("[{}]:{}", x.host, x.port);
  return fmt::format("{}:{}", x.host, x.port);
}

bool is_loopback(const endpoint& x) {
  if (x.host == "localhost")
    return true;
  in_addr v4;
  if (::inet_pton(AF_INET, x.host.c_str(), &v4) == 1)
    return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6;
  if (::inet_pton(AF_INET6, x.host.c_str(), &v6) == 1)
    return IN6_IS_ADDR_LOOPBACK(&v6)
           || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
  return false;
}

} // namespace troupe::net
