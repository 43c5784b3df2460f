// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/peer_user.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include <fmt/format.h>
#include <netinet/in.h>
#include <unistd.h>

namespace troupe::net {

namespace {

// TCP_ESTABLISHED.
constexpr std::string_view established = "01";

constexpr int looks_max = 3;

/// The table writes each 32-bit word of an address as the machine reads it.
std::string words(const void* address, std::size_t bytes) {
  std::string out;
  for (std::size_t i = 0; i < bytes; i += sizeof(std::uint32_t)) {
    std::uint32_t word = 0;
    std::memcpy(&word, static_cast<const char*>(address) + i, sizeof(word));
    out += fmt::format("{:08X}", word);
  }
  return out;
}

/// The two ways in which the tables may spell an address: an IPv4 address
/// stands in tcp6 if the socket is one of IPv6.
struct spelling {
  std::string v4;
  std::string v6;
};

spelling spell(const socket_address& x) {
  spelling out;
  auto port = fmt::format(":{:04X}", x.port());
  auto mapped = [&out, &port](const void* address) {
    out.v4 = words(address, 4) + port;
    std::array<unsigned char, 16> all{};
    all[10] = all[11] = 0xff;
    std::memcpy(all.data() + 12, address, 4);
    out.v6 = words(all.data(), all.size()) + port;
  };
  if (x.family() == AF_INET) {
    mapped(&reinterpret_cast<const sockaddr_in*>(x.data())->sin_addr);
  } else if (x.family() == AF_INET6) {
    const auto& raw = reinterpret_cast<const sockaddr_in6*>(x.data())
                        ->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&raw))
      mapped(raw.s6_addr + 12);
    else
      out.v6 = words(&raw, sizeof(raw)) + port;
  }
  return out;
}

/// Whether a word of a line is that address.
bool same(std::string_view word, const spelling& x) {
  return !word.empty() && (word == x.v4 || word == x.v6);
}

std::string content(const char* path) {
  std::ifstream in{path};
  std::ostringstream out;
  out << in.rdbuf();
  return std::move(out).str();
}

} // namespace

std::optional<uid_t> find_user(std::string_view table,
                               const socket_address& from,
                               const socket_address& to) {
  auto source = spell(from);
  auto target = spell(to);
  while (!table.empty()) {
    auto end = std::min(table.find('\n'), table.size());
    auto line = table.substr(0, end);
    table.remove_prefix(std::min(end + 1, table.size()));
    // sl local remote state queues timer retransmits uid
    std::array<std::string_view, 8> words;
    std::size_t count = 0;
    while (count < words.size()) {
      auto first = line.find_first_not_of(' ');
      if (first == std::string_view::npos)
        break;
      line.remove_prefix(first);
      auto size = std::min(line.find(' '), line.size());
      words[count++] = line.substr(0, size);
      line.remove_prefix(size);
    }
    if (count < words.size() || !same(words[1], source)
        || !same(words[2], target) || words[3] != established)
      continue;
    uid_t user = 0;
    auto [at, bad] = std::from_chars(words[7].data(),
                                     words[7].data() + words[7].size(), user);
    if (bad == std::errc{} && at == words[7].data() + words[7].size())
      return user;
  }
  return std::nullopt;
}

std::optional<uid_t> peer_user(int socket) {
  auto from = socket_address::of_peer(socket);
  auto to = socket_address::of_socket(socket);
  if (!from.is_loopback())
    return std::nullopt;
  // The kernel hands the tables out in pieces, and a line may slip from one
  // piece into another meanwhile.
  for (int i = 0; i < looks_max; ++i)
    for (const auto* path :
         {"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"})
      if (auto user = find_user(content(path), from, to))
        return user;
  return std::nullopt;
}

bool peer_is_us(int socket) {
  auto user = peer_user(socket);
  return user && *user == ::geteuid();
}

} // namespace troupe::net
