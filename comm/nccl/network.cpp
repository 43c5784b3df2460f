// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/nccl/network.hpp"

#include <cstdlib>
#include <cstring>

#include <fmt/core.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include "troupe/comm/gloo/address.hpp"
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

/// Empty if there is none.
std::string interface_of(const gloo::inet_address& where) {
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0)
    return {};
  std::string found;
  for (auto* x = first; x != nullptr && found.empty(); x = x->ifa_next)
    if (same_host(x->ifa_addr, where.raw()))
      found = x->ifa_name;
  ::freeifaddrs(first);
  return found;
}

} // namespace

std::string use_network_of(const std::string& address) {
  if (address.empty() || chosen_setting(variable))
    return {};
  std::string found;
  if (auto where = gloo::resolve(address, {}); where)
    found = interface_of(*where);
  if (found.empty())
    return fmt::
      format("no network interface has this node's address {}: NCCL "
             "chooses one by itself; set {} if others cannot reach it",
             address, variable);
  // Without '=' it is a prefix: eth1 would also be eth10.
  ::setenv(variable, fmt::format("={}", found).c_str(), 0);
  return fmt::format("NCCL opens its sockets on {}, which has this node's "
                     "address {}; {} would say otherwise",
                     found, address, variable);
}

} // namespace troupe::comm::nccl
