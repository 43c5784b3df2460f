// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/listener.hpp"

#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "troupe/actors/net/dial.hpp"
#include "troupe/actors/process/message_socket.hpp"

namespace troupe::net {

using process::unique_fd;

namespace {

// Strangers before the others on the loop get their turn.
constexpr int accepts_max = 64;

// Until accepting is tried again where even the spare descriptor is lost.
constexpr duration pause_time = std::chrono::milliseconds{100};

unique_fd open_spare() {
  return unique_fd{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
}

} // namespace

result<unique_fd> listen_at(const socket_address& at, int backlog) {
  unique_fd socket{
    ::socket(at.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!socket)
    return fail(process::system_error(errc::exhausted, "no socket", errno));
  // Else a restart would wait for connections of the life before to fade.
  int on = 1;
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0
      || ::bind(socket.get(), at.data(), at.size()) != 0
      || ::listen(socket.get(), backlog) != 0) {
    auto number = errno;
    auto code = number == EADDRINUSE || number == EACCES ? errc::unavailable
                                                         : errc::invalid;
    return fail(
      process::system_error(code,
                            fmt::format("cannot listen at {}", to_string(at)),
                            number));
  }
  return socket;
}

listener::listener(event_loop& loop, unique_fd socket, accepted on_accept)
  : loop_(loop),
    socket_(std::move(socket)),
    spare_(open_spare()),
    on_accept_(std::move(on_accept)),
    alive_(std::make_shared<bool>(true)) {
  watch_ = loop_.watch(socket_.get(), EPOLLIN,
                       [this](std::uint32_t) { accept_all(); });
}

listener::~listener() {
  *alive_ = false;
  loop_.forget(watch_);
  loop_.cancel(pause_);
}

void listener::accept_all() {
  auto alive = alive_;
  for (int i = 0; i < accepts_max && *alive; ++i) {
    unique_fd socket{
      ::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (socket) {
      set_up_socket(socket.get());
      on_accept_(std::move(socket));
      continue;
    }
    switch (errno) {
      case EAGAIN: return;
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM:
        if (turn_away())
          continue;
        // Nothing can be done now, and the event would come again at once.
        loop_.change(watch_, 0);
        pause_ = loop_.after(pause_time,
                             [this] { loop_.change(watch_, EPOLLIN); });
        return;
      // Also for somebody who has left while waiting.
      default: break;
    }
  }
}

bool listener::turn_away() {
  if (!spare_)
    spare_ = open_spare();
  if (!spare_)
    return false;
  spare_.reset();
  unique_fd socket{::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
  auto taken = static_cast<bool>(socket);
  socket.reset();
  spare_ = open_spare();
  return taken;
}

} // namespace troupe::net
