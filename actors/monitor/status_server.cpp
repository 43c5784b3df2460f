// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/monitor/status_server.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include <fmt/core.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "troupe/actors/monitor/status_json.hpp"
#include "troupe/actors/process/message_socket.hpp"
#include "troupe/core/deadline.hpp"
#include "troupe/core/log.hpp"

namespace troupe::monitor {

namespace {

using process::unique_fd;
using std::chrono::milliseconds;

/// Who sends more than this is no monitor.
constexpr std::size_t heard_max = 4096;

/// For the last line, when the run ends.
constexpr milliseconds farewell{200};

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return out;
}

result<unique_fd> listen_at(std::uint16_t port) {
  unique_fd out{
    ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  auto at = loopback(port);
  // A port that was asked for stays usable after the run before.
  int on = 1;
  if (!out
      || ::setsockopt(out.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0
      || ::bind(out.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)) != 0
      || ::listen(out.get(), 8) != 0)
    return fail(process::system_error(errc::exhausted,
                                      fmt::format("cannot listen on "
                                                  "127.0.0.1:{}",
                                                  port),
                                      errno));
  return out;
}

} // namespace

result<std::unique_ptr<status_server>>
status_server::start(status_server_settings settings,
                     std::function<std::string()> source) {
  auto listener = listen_at(settings.port);
  if (!listener)
    return fail(listener.error());
  sockaddr_in at{};
  socklen_t size = sizeof(at);
  unique_fd stop{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!stop
      || ::getsockname(listener->get(), reinterpret_cast<sockaddr*>(&at), &size)
           != 0)
    return fail(
      process::system_error(errc::exhausted, "no event descriptor", errno));
  // Not make_unique: the constructor is private.
  std::unique_ptr<status_server> out{
    new status_server{std::move(settings), std::move(source),
                      std::move(*listener), std::move(stop),
                      ntohs(at.sin_port)}};
  return out;
}

status_server::status_server(status_server_settings settings,
                             std::function<std::string()> source,
                             unique_fd listener, unique_fd stop,
                             std::uint16_t port)
  : settings_(std::move(settings)),
    source_(std::move(source)),
    listener_(std::move(listener)),
    stop_(std::move(stop)),
    port_(port),
    thread_([this] { run(); }) {
  // nop
}

status_server::~status_server() {
  std::uint64_t one = 1;
  // An event descriptor takes this unless it was told 2^64 times.
  static_cast<void>(::write(stop_.get(), &one, sizeof(one)));
  thread_.join();
}

void status_server::run() {
  auto next = deadline::after(settings_.interval);
  while (!stopping_) {
    step(next.left_ms());
    if (!next.passed() && !stopping_)
      continue;
    next = deadline::after(settings_.interval);
    if (!clients_.empty())
      tell_all(source_());
  }
  auto until = deadline::after(farewell);
  while (anything_waits() && !until.passed())
    step(until.left_ms());
}

void status_server::step(milliseconds wait) {
  std::vector<pollfd> ready;
  ready.push_back({listener_.get(), POLLIN, 0});
  // It stays readable once we know.
  ready.push_back({stopping_ ? -1 : stop_.get(), POLLIN, 0});
  for (const auto& x : clients_)
    ready.push_back(
      {x.socket.get(),
       static_cast<short>(POLLIN | (x.waiting.empty() ? 0 : POLLOUT)), 0});
  if (::poll(ready.data(), ready.size(), static_cast<int>(wait.count())) < 0)
    return;
  for (std::size_t i = 0; i < clients_.size(); ++i) {
    auto events = ready[i + 2].revents;
    if ((events & (POLLIN | POLLHUP | POLLERR)) != 0)
      listen_to(clients_[i]);
    if ((events & POLLOUT) != 0)
      flush(clients_[i]);
  }
  forget_gone();
  if (ready[1].revents != 0)
    stopping_ = true;
  if (ready[0].revents != 0)
    accept_all();
}

void status_server::accept_all() {
  // Bounded: who comes by the thousand waits for the next step.
  for (std::size_t i = 0; i < settings_.clients_max; ++i) {
    unique_fd socket{::accept4(listener_.get(), nullptr, nullptr,
                               SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (!socket)
      return;
    if (stopping_)
      continue;
    client x;
    x.socket = std::move(socket);
    x.since = steady_clock().now();
    if (clients_.size() >= settings_.clients_max) {
      // Into the empty buffer of a new socket it always fits.
      x.waiting = refusal_line(
        fmt::format("{} monitors look at this run already",
                    settings_.clients_max));
      flush(x);
      continue;
    }
    x.waiting = settings_.hello + source_();
    flush(x);
    clients_.push_back(std::move(x));
  }
}

void status_server::tell_all(const std::string& line) {
  auto now = steady_clock().now();
  for (auto& x : clients_) {
    if (x.waiting.empty() || stopping_) {
      // The last line follows what a slow one still has to take.
      x.waiting += line;
      flush(x);
    } else if (now - x.since > settings_.stall_max) {
      x.gone = true;
    }
  }
  forget_gone();
}

void status_server::flush(client& to) {
  while (to.sent < to.waiting.size()) {
    auto count = ::send(to.socket.get(), to.waiting.data() + to.sent,
                        to.waiting.size() - to.sent, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0) {
      to.gone = to.gone || (errno != EAGAIN && errno != EWOULDBLOCK);
      return;
    }
    to.sent += static_cast<std::size_t>(count);
    to.since = steady_clock().now();
  }
  to.waiting.clear();
  to.sent = 0;
}

void status_server::listen_to(client& from) {
  std::array<char, 1024> unread;
  auto count = ::recv(from.socket.get(), unread.data(), unread.size(), 0);
  if (count < 0) {
    from.gone = from.gone || (errno != EAGAIN && errno != EINTR);
    return;
  }
  from.heard += static_cast<std::size_t>(count);
  if (count == 0 || from.heard > heard_max)
    from.gone = true;
}

void status_server::forget_gone() {
  std::erase_if(clients_, [](const client& x) { return x.gone; });
}

bool status_server::anything_waits() const {
  return std::ranges::any_of(clients_,
                             [](const auto& x) { return !x.waiting.empty(); });
}

} // namespace troupe::monitor
