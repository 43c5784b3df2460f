// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/port_manager.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "troupe/actors/process/message_socket.hpp"

namespace troupe::process {

namespace {

// How often the kernel may pick a port we have handed out before.
constexpr int picks_max = 64;

// What ChatLearn leaves to Ray: single ports and a range.
constexpr std::array<std::uint16_t, 5> reserved_ports{10001, 8265, 49948, 52365,
                                                      63529};
constexpr std::uint16_t reserved_first = 10002;
constexpr std::uint16_t reserved_last = 19999;
constexpr std::size_t reserved_of_rest = 2;

bool is_reserved(std::uint16_t port) {
  return (port >= reserved_first && port <= reserved_last)
         || std::find(reserved_ports.begin(), reserved_ports.end(), port)
              != reserved_ports.end();
}

/// Binds `port` (0: any); `errc::unavailable` if somebody has it.
result<held_port> hold(const std::string& address, std::uint16_t port) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  if (::inet_pton(AF_INET, address.c_str(), &to.sin_addr) != 1)
    return fail(errc::invalid,
                fmt::format("'{}' is not an IPv4 address", address));
  unique_fd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!socket)
    return fail(system_error(errc::exhausted, "no socket", errno));
  // Without SO_REUSEADDR: with it two processes could hold one port until one
  // of them listens.
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) {
    auto number = errno;
    auto code = number == EADDRINUSE || number == EACCES ? errc::unavailable
                                                         : errc::invalid;
    return fail(system_error(code,
                             fmt::format("cannot bind {}:{}", address, port),
                             number));
  }
  socklen_t size = sizeof(to);
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&to), &size) != 0)
    return fail(system_error(errc::internal, "a socket without a name", errno));
  return held_port{ntohs(to.sin_port), std::move(socket)};
}

} // namespace

port_manager::port_manager(std::string address) : address_(std::move(address)) {
  // nop
}

port_manager::port_manager(std::string address, std::uint16_t first,
                           std::uint16_t last)
  : address_(std::move(address)),
    range_(true),
    next_(first),
    last_(last) {
  // nop
}

result<held_port> port_manager::take() {
  return range_ ? take_from_range() : take_any();
}

result<held_port> port_manager::take_from_range() {
  auto first = next_;
  while (next_ <= last_) {
    auto port = static_cast<std::uint16_t>(next_++);
    auto held = hold(address_, port);
    if (held || held.error().code() != errc::unavailable)
      return held;
  }
  return fail(errc::exhausted,
              first > last_
                ? fmt::format("all ports up to {} of {} were handed out", last_,
                              address_)
                : fmt::format("no port of [{}, {}] is free on {}", first, last_,
                              address_));
}

result<held_port> port_manager::take_any() {
  // Those not wanted stay bound until the end, so that each pick is new.
  std::vector<held_port> known;
  for (int i = 0; i < picks_max; ++i) {
    auto held = hold(address_, 0);
    if (!held) {
      if (held.error().code() == errc::unavailable)
        return fail(errc::exhausted, held.error().message());
      return held;
    }
    if (handed_out_.insert(held->port).second)
      return held;
    known.push_back(std::move(*held));
  }
  return fail(errc::exhausted,
              fmt::format("no port of {} is free that was not handed out "
                          "before",
                          address_));
}

custom_ports::custom_ports(std::vector<std::uint16_t> list)
  : list_(std::move(list)) {
  // nop
}

result<custom_ports> custom_ports::parse(std::string_view text) {
  std::vector<std::uint16_t> list;
  while (!text.empty()) {
    auto end = std::min(text.find(';'), text.size());
    auto word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    std::uint16_t port = 0;
    auto [at, bad] = std::from_chars(word.data(), word.data() + word.size(),
                                     port);
    if (bad != std::errc{} || at != word.data() + word.size() || port == 0)
      return fail(errc::invalid, fmt::format("'{}' is not a port", word));
    if (!is_reserved(port))
      list.push_back(port);
  }
  auto dropped = std::min(reserved_of_rest, list.size());
  list.erase(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(dropped));
  return custom_ports{std::move(list)};
}

result<std::uint16_t> custom_ports::next(std::string_view address) {
  auto i = used_.find(address);
  if (i == used_.end())
    i = used_.emplace(std::string{address}, 0).first;
  if (i->second >= list_.size())
    return fail(errc::exhausted,
                fmt::format("address {} has used all {} ports of the list",
                            address, list_.size()));
  return list_[i->second++];
}

} // namespace troupe::process
