// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/dial.hpp"

#include <cerrno>
#include <cstring>
#include <optional>

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "troupe/actors/process/message_socket.hpp"

namespace troupe::net {

using process::unique_fd;

namespace {

// A connection without traffic is asked for a sign after 5 s, three times; one
// whose bytes nobody acknowledges ends after 20 s.
constexpr int keepalive_idle_s = 5;
constexpr int keepalive_interval_s = 5;
constexpr int keepalive_count = 3;
constexpr int unacknowledged_ms = 20'000;

void set_option(int socket, int level, int name, int value) noexcept {
  // Each makes a connection better, none is needed.
  [[maybe_unused]] auto status = ::setsockopt(socket, level, name, &value,
                                              sizeof(value));
}

error why_not(const endpoint& to, int number) {
  if (number == ECONNREFUSED)
    return error{errc::unavailable,
                 fmt::format("nobody listens at {} (connection refused)",
                             to_string(to))};
  return error{errc::unavailable,
               fmt::format("{} cannot be reached ({})", to_string(to),
                           ::strerrordesc_np(number) ? ::strerrordesc_np(number)
                                                     : "unknown error")};
}

error no_answer(const endpoint& to, duration waited) {
  auto ms = std::chrono::round<std::chrono::milliseconds>(waited).count();
  return error{errc::timed_out,
               fmt::format("{} does not answer within {} ms (wrong address, or "
                           "a firewall drops packets)",
                           to_string(to), ms)};
}

/// One address; the error's text names the endpoint.
result<unique_fd> dial_one(const endpoint& name, const socket_address& to,
                           deadline until, duration all) {
  auto socket = begin_connect(to);
  if (!socket)
    return socket;
  auto ready = await_ready(socket->get(), POLLOUT, until);
  if (!ready)
    return fail(no_answer(name, all));
  auto number = connect_error(socket->get());
  if (number == ETIMEDOUT)
    return fail(no_answer(name, all));
  if (number != 0)
    return fail(why_not(name, number));
  return socket;
}

} // namespace

result<unique_fd> dial(const endpoint& to, deadline until) {
  if (to.port == 0)
    return fail(errc::invalid,
                fmt::format("'{}' has no port to connect to, e.g. {}:4100",
                            to_string(to), to.host));
  auto all = until.left();
  auto found = resolve(to, until);
  if (!found)
    return fail(found.error());
  std::optional<error> reason;
  auto left = static_cast<std::int64_t>(found->size());
  for (const auto& address : *found) {
    auto share = until.at_most(until.left() / left--);
    auto socket = dial_one(to, address, share, all);
    if (socket)
      return socket;
    // Silence says more than a refusal: the refusal may come from an address
    // nobody meant (::1 beside 127.0.0.1).
    if (!reason || socket.error().code() == errc::timed_out)
      reason = socket.error();
  }
  return fail(std::move(*reason));
}

result<unique_fd> begin_connect(const socket_address& to) {
  unique_fd socket{
    ::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!socket)
    return fail(process::system_error(errc::exhausted, "no socket", errno));
  set_up_socket(socket.get());
  if (::connect(socket.get(), to.data(), to.size()) != 0
      && errno != EINPROGRESS)
    return fail(why_not(to.to_endpoint(), errno));
  return socket;
}

int connect_error(int socket) noexcept {
  int number = 0;
  socklen_t size = sizeof(number);
  if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &number, &size) != 0)
    return errno;
  return number;
}

void set_up_socket(int socket) noexcept {
  set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, keepalive_idle_s);
  set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, keepalive_interval_s);
  set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, keepalive_count);
  set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, unacknowledged_ms);
}

result<void> await_ready(int fd, short events, deadline until) {
  pollfd event{fd, events, 0};
  for (;;) {
    // A deadline hours away is looked at again from time to time.
    auto wait = std::min<std::int64_t>(until.left_ms().count(), 60'000);
    auto ready = ::poll(&event, 1, static_cast<int>(wait));
    if (ready > 0)
      return {};
    if (ready < 0 && errno != EINTR)
      return fail(process::system_error(errc::exhausted, "cannot poll", errno));
    if (until.passed())
      return fail(errc::timed_out, "no answer in time");
  }
}

} // namespace troupe::net
