// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/gloo/address.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <utility>

#include <fmt/core.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>

namespace troupe::comm::gloo {

namespace {

constexpr std::uint32_t magic = 0x4f4f4c47;
constexpr std::uint8_t version = 1;

/// How many handshakes the kernel keeps while nobody accepts.
constexpr int backlog = 1024;

bool is_any(const inet_address& x) {
  if (x.storage.ss_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &x.storage, sizeof(in));
    return in.sin_addr.s_addr == htonl(INADDR_ANY);
  }
  sockaddr_in6 in{};
  std::memcpy(&in, &x.storage, sizeof(in));
  return IN6_IS_ADDR_UNSPECIFIED(&in.sin6_addr);
}

std::string system_text() {
  return std::strerror(errno);
}

bool is_inet(const sockaddr* x) {
  return x != nullptr && (x->sa_family == AF_INET || x->sa_family == AF_INET6);
}

inet_address copy_of(const sockaddr* from) {
  inet_address out;
  out.length = from->sa_family == AF_INET ? sizeof(sockaddr_in)
                                          : sizeof(sockaddr_in6);
  std::memcpy(&out.storage, from, out.length);
  return out;
}

} // namespace

std::string inet_address::host() const {
  std::array<char, NI_MAXHOST> text{};
  if (::getnameinfo(raw(), length, text.data(), text.size(), nullptr, 0,
                    NI_NUMERICHOST)
      != 0)
    return "unknown";
  return text.data();
}

bytes encode(const contact& x) {
  bytes out;
  encoder to{out};
  to.put(magic);
  to.put(version);
  to.put(x.rank.value());
  to.put(x.size);
  to.append(x.secret.data(), x.secret.size());
  to.put(static_cast<std::uint8_t>(x.where.length));
  to.append(&x.where.storage, x.where.length);
  return out;
}

result<contact> decode_contact(const bytes& in) {
  decoder from{in};
  contact x;
  std::uint32_t read_magic = 0;
  std::uint8_t read_version = 0;
  std::int32_t rank = 0;
  std::uint8_t length = 0;
  if (!from.get(read_magic) || read_magic != magic)
    return fail(errc::invalid, "not an address of the gloo backend");
  if (!from.get(read_version) || read_version != version)
    return fail(errc::invalid, "an address of another version");
  auto good = from.get(rank) && from.get(x.size)
              && from.read(x.secret.data(), x.secret.size())
              && from.get(length);
  if (!good || length != from.left()
      || (length != sizeof(sockaddr_in) && length != sizeof(sockaddr_in6))
      || !from.read(&x.where.storage, length))
    return fail(errc::invalid, "a damaged address");
  auto family = length == sizeof(sockaddr_in) ? AF_INET : AF_INET6;
  if (x.where.storage.ss_family != family)
    return fail(errc::invalid, "an address of an unknown family");
  x.where.length = length;
  x.rank = rank_id{rank};
  return x;
}

nonce random_nonce() {
  std::random_device source;
  nonce out{};
  for (auto& x : out)
    x = static_cast<std::byte>(source());
  return out;
}

result<inet_address> resolve(const std::string& host,
                             const std::string& interface) {
  if (!interface.empty()) {
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) != 0)
      return fail(errc::unavailable,
                  fmt::format("no network interfaces: {}", system_text()));
    result<inet_address>
      found = fail(errc::unavailable,
                   fmt::format("no interface {} with an address", interface));
    for (auto* x = list; x != nullptr && !found; x = x->ifa_next)
      if (interface == x->ifa_name && is_inet(x->ifa_addr))
        found = copy_of(x->ifa_addr);
    ::freeifaddrs(list);
    return found;
  }
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  auto rc = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (rc != 0)
    return fail(errc::unavailable,
                fmt::format("no address of {}: {}", host, ::gai_strerror(rc)));
  result<inet_address> found = fail(errc::unavailable,
                                    fmt::format("no address of {}", host));
  for (auto* x = list; x != nullptr && !found; x = x->ai_next)
    if (is_inet(x->ai_addr))
      found = copy_of(x->ai_addr);
  ::freeaddrinfo(list);
  if (found && is_any(*found))
    return fail(errc::invalid,
                fmt::format("{} is no address that peers can reach: name one "
                            "or an interface",
                            host));
  return found;
}

result<std::pair<socket, inet_address>> listen_at(const inet_address& where) {
  socket out{::socket(where.storage.ss_family,
                      SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  inet_address bound;
  bound.length = sizeof(bound.storage);
  if (!out || ::bind(out.fd(), where.raw(), where.length) != 0
      || ::listen(out.fd(), backlog) != 0
      || ::getsockname(out.fd(), reinterpret_cast<sockaddr*>(&bound.storage),
                       &bound.length)
           != 0)
    return fail(errc::unavailable, fmt::format("cannot listen at {}: {}",
                                               where.host(), system_text()));
  return std::make_pair(std::move(out), bound);
}

} // namespace troupe::comm::gloo
