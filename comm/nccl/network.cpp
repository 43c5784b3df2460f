// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/nccl/network.hpp"

#include <cstdlib>
#include <cstring>
#include <memory>

#include <arpa/inet.h>
#include <fmt/core.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>

#include "troupe/comm/nccl/version.hpp"

namespace troupe::comm::nccl {

namespace {

constexpr auto variable = "NCCL_SOCKET_IFNAME";

/// Without the port.
bool same_host(const sockaddr* a, const sockaddr* b) {
  if (a == nullptr || a->sa_family != b->sa_family)
    return false;
  if (a->sa_family == AF_INET)
    return std::memcmp(&reinterpret_cast<const sockaddr_in*>(a)->sin_addr,
                       &reinterpret_cast<const sockaddr_in*>(b)->sin_addr,
                       sizeof(in_addr))
           == 0;
  if (a->sa_family == AF_INET6)
    return std::memcmp(&reinterpret_cast<const sockaddr_in6*>(a)->sin6_addr,
                       &reinterpret_cast<const sockaddr_in6*>(b)->sin6_addr,
                       sizeof(in6_addr))
           == 0;
  return false;
}

bool is_number(const std::string& host) {
  in6_addr raw{};
  return ::inet_pton(AF_INET, host.c_str(), &raw) == 1
         || ::inet_pton(AF_INET6, host.c_str(), &raw) == 1;
}

/// The interface that has `host`, of whose addresses it may be any. Not the
/// loopback for a name: hosts files often give a machine's own name that, and
/// others reach nothing there. Empty if there is none.
std::string interface_of(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0)
    return {};
  std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> all{found,
                                                           ::freeaddrinfo};
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0)
    return {};
  std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> here{first, ::freeifaddrs};
  auto named = !is_number(host);
  for (const auto* at = found; at != nullptr; at = at->ai_next)
    for (const auto* x = first; x != nullptr; x = x->ifa_next) {
      auto loops = (x->ifa_flags & IFF_LOOPBACK) != 0;
      if (same_host(x->ifa_addr, at->ai_addr) && !(named && loops))
        return x->ifa_name;
    }
  return {};
}

} // namespace

std::string use_network_of(const std::string& address) {
  if (address.empty() || chosen_setting(variable))
    return {};
  auto found = interface_of(address);
  if (found.empty())
    return fmt::
      format("no network interface that others reach has this node's address "
             "{}: NCCL "
             "chooses one by itself; set {} if others cannot reach it",
             address, variable);
  // Without '=' it is a prefix: eth1 would also be eth10.
  ::setenv(variable, fmt::format("={}", found).c_str(), 0);
  return fmt::format("NCCL opens its sockets on {}, which has this node's "
                     "address {}; {} would say otherwise",
                     found, address, variable);
}

} // namespace troupe::comm::nccl
