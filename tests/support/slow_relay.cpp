// SPDX-License-Identifier: Apache-2.0
#include "support/slow_relay.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <deque>
#include <list>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "troupe/actors/process/unique_fd.hpp"

namespace troupe::test {

namespace {

using process::unique_fd;
using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t piece_bytes_max = 64 * 1024;

/// More waiting bytes than this make the sender wait.
constexpr std::size_t pieces_max = 64;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in x{};
  x.sin_family = AF_INET;
  x.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  x.sin_port = htons(port);
  return x;
}

struct piece {
  std::vector<char> bytes;
  std::size_t sent = 0;
  clock::time_point due;
};

/// One direction of a connection.
struct direction {
  int from = -1;
  int to = -1;
  std::deque<piece> pieces;
  bool ended = false;
  bool closed = false;
};

struct connection {
  unique_fd near;
  unique_fd far;
  direction there;
  direction back;
};

} // namespace

struct slow_relay::impl {
  impl(std::uint16_t port_there, slow_relay_settings x)
    : to(port_there),
      settings(x),
      random(x.seed),
      stop(::eventfd(0, EFD_CLOEXEC)),
      listener(
        ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    auto address = loopback(0);
    socklen_t size = sizeof(address);
    auto* raw = reinterpret_cast<sockaddr*>(&address);
    if (!stop || !listener || ::bind(listener.get(), raw, size) != 0
        || ::listen(listener.get(), 64) != 0
        || ::getsockname(listener.get(), raw, &size) != 0)
      throw std::runtime_error{"no port for a relay"};
    port = ntohs(address.sin_port);
    thread = std::thread{[this] { run(); }};
  }

  ~impl() {
    std::uint64_t one = 1;
    static_cast<void>(::write(stop.get(), &one, sizeof(one)) == sizeof(one));
    thread.join();
  }

  void run() {
    for (;;) {
      std::vector<pollfd> events{{stop.get(), POLLIN, 0},
                                 {listener.get(), POLLIN, 0}};
      auto now = clock::now();
      auto timeout = milliseconds{1000};
      for (auto& x : connections)
        for (auto* way : {&x.there, &x.back}) {
          if (!way->ended && way->pieces.size() < pieces_max)
            events.push_back({way->from, POLLIN, 0});
          if (!way->pieces.empty())
            timeout = std::clamp(std::chrono::ceil<milliseconds>(
                                   way->pieces.front().due - now),
                                 milliseconds{1}, timeout);
        }
      ::poll(events.data(), events.size(), static_cast<int>(timeout.count()));
      if (events[0].revents)
        return;
      if (events[1].revents)
        accept();
      for (auto& x : connections)
        for (auto* way : {&x.there, &x.back}) {
          take(*way);
          pass(*way);
        }
      connections.remove_if(
        [](const connection& x) { return x.there.closed || x.back.closed; });
    }
  }

  void accept() {
    unique_fd near{::accept4(listener.get(), nullptr, nullptr,
                             SOCK_CLOEXEC | SOCK_NONBLOCK)};
    unique_fd far{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    auto address = loopback(to);
    if (!near || !far
        || ::connect(far.get(), reinterpret_cast<sockaddr*>(&address),
                     sizeof(address))
             != 0)
      return;
    int yes = 1;
    for (auto fd : {near.get(), far.get()})
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    connection x;
    x.there.from = x.back.to = near.get();
    x.there.to = x.back.from = far.get();
    x.near = std::move(near);
    x.far = std::move(far);
    connections.push_back(std::move(x));
  }

  void take(direction& x) {
    if (x.ended || x.pieces.size() >= pieces_max)
      return;
    std::vector<char> bytes(piece_bytes_max);
    auto got = ::recv(x.from, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got < 0)
      x.ended = errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
    else if (got == 0)
      x.ended = true;
    if (got <= 0)
      return;
    bytes.resize(static_cast<std::size_t>(got));
    auto wait = settings.delay_ms
                + static_cast<int>(
                  random() % static_cast<unsigned>(settings.jitter_ms + 1));
    if (settings.lost_one_in > 0
        && (settings.seed + num_passed)
               % static_cast<unsigned>(settings.lost_one_in)
             == 0) {
      wait += settings.resend_ms;
      ++num_lost;
    }
    ++num_passed;
    auto due = clock::now() + milliseconds{wait};
    // What comes later arrives later.
    if (!x.pieces.empty())
      due = std::max(due, x.pieces.back().due);
    x.pieces.push_back({std::move(bytes), 0, due});
  }

  static void pass(direction& x) {
    while (!x.pieces.empty() && x.pieces.front().due <= clock::now()) {
      auto& next = x.pieces.front();
      auto sent = ::send(x.to, next.bytes.data() + next.sent,
                         next.bytes.size() - next.sent,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent < 0) {
        x.closed = errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
        return;
      }
      next.sent += static_cast<std::size_t>(sent);
      if (next.sent == next.bytes.size())
        x.pieces.pop_front();
    }
    if (x.ended && x.pieces.empty())
      x.closed = true;
  }

  std::uint16_t to;
  slow_relay_settings settings;
  std::mt19937_64 random;
  unique_fd stop;
  unique_fd listener;
  std::uint16_t port = 0;
  std::list<connection> connections;
  std::atomic<std::uint64_t> num_passed = 0;
  std::atomic<std::uint64_t> num_lost = 0;
  std::thread thread;
};

slow_relay::slow_relay(std::uint16_t to, slow_relay_settings settings)
  : impl_(std::make_unique<impl>(to, settings)) {
  // nop
}

slow_relay::~slow_relay() = default;

std::uint16_t slow_relay::port() const noexcept {
  return impl_->port;
}

std::uint64_t slow_relay::passed() const noexcept {
  return impl_->num_passed;
}

std::uint64_t slow_relay::lost() const noexcept {
  return impl_->num_lost;
}

} // namespace troupe::test
