// SPDX-License-Identifier: Apache-2.0
#include "actors/net/support.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include "troupe/actors/net/dial.hpp"
#include "troupe/actors/net/listener.hpp"
#include "troupe/actors/net/socket_address.hpp"
#include "troupe/actors/process/message_socket.hpp"

namespace net_test {

using namespace troupe;
using namespace troupe::net;
using process::unique_fd;

namespace {

/// A test that cannot have its sockets has no outcome.
template <class T>
T must(result<T> x) {
  if (!x) {
    std::cerr << to_string(x.error()) << std::endl;
    std::abort();
  }
  return std::move(*x);
}

} // namespace

server::server(treatment treat, const std::string& host)
  : treat_(std::move(treat)),
    socket_(must(listen_at(must(resolve({host, 0}, soon())).front()))),
    stop_(must(process::make_wake_fd())),
    at_(socket_address::of_socket(socket_.get()).to_endpoint()) {
  acceptor_ = std::thread{[this] { accept_all(); }};
}

server::~server() {
  process::wake(stop_.get());
  acceptor_.join();
  {
    std::lock_guard guard{mutex_};
    for (auto fd : open_)
      ::shutdown(fd, SHUT_RDWR);
  }
  for (auto& x : threads_)
    x.join();
}

void server::accept_all() {
  for (;;) {
    pollfd events[] = {{socket_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    ::poll(events, 2, -1);
    if (events[1].revents != 0)
      return;
    unique_fd x{
      ::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (!x)
      continue;
    ++accepted_;
    unique_fd second{::fcntl(x.get(), F_DUPFD_CLOEXEC, 0)};
    std::lock_guard guard{mutex_};
    open_.push_back(second.get());
    threads_.emplace_back(
      [this, channel = std::shared_ptr{make_plain_stream(std::move(x))},
       known = std::make_shared<unique_fd>(std::move(second))] {
        treat_(*channel);
        channel->release().reset();
        std::lock_guard inner{mutex_};
        std::erase(open_, known->get());
        // Closed here, so that nobody shuts another's descriptor.
        known->reset();
      });
  }
}

void echo(stream& x) {
  std::array<std::byte, 16384> buffer;
  for (;;) {
    auto got = x.read(buffer);
    if (got.state == io_state::want_read) {
      if (!await_ready(x.fd(), POLLIN, soon()))
        return;
      continue;
    }
    if (got.state != io_state::done
        || !send_all(x, std::span{buffer}.first(got.bytes), soon()))
      return;
  }
}

void hold(stream& x) {
  [[maybe_unused]] auto ready = await_ready(x.fd(), POLLIN, soon());
}

black_hole::black_hole()
  : socket_(must(listen_at(socket_address::loopback(0), 0))),
    at_(socket_address::of_socket(socket_.get()).to_endpoint()) {
  // The queue of length 0 takes one; the others fill what the kernel adds.
  for (int i = 0; i < 4; ++i)
    fillers_.push_back(
      must(begin_connect(socket_address::of_socket(socket_.get()))));
  [[maybe_unused]] auto first = await_ready(fillers_[0].get(), POLLOUT, soon());
}

endpoint closed_port(const test::held_port& x) {
  return {"127.0.0.1", x.number()};
}

bool knows_localhost() {
  addrinfo* found = nullptr;
  auto problem = ::getaddrinfo("localhost", nullptr, nullptr, &found);
  if (problem == 0) {
    ::freeaddrinfo(found);
    return true;
  }
  std::cout << "skipped: this machine has no address for localhost ("
            << ::gai_strerror(problem) << "), see /etc/hosts" << std::endl;
  return false;
}

std::unique_ptr<stream> connect_to(const endpoint& to) {
  auto socket = dial(to, soon());
  return socket ? make_plain_stream(std::move(*socket)) : nullptr;
}

bytes pattern(std::size_t size) {
  // Doubled block by block: a byte at a time takes long without optimization.
  constexpr std::size_t block = 65'521;
  bytes out(size);
  std::uint32_t state = 1;
  for (std::size_t i = 0; i < std::min(size, block); ++i) {
    state = state * 1664525 + 1013904223;
    out[i] = static_cast<std::byte>(state >> 24);
  }
  for (auto have = block; have < size; have *= 2)
    std::memcpy(out.data() + have, out.data(), std::min(have, size - have));
  return out;
}

bytes read_to_end(stream& from) {
  bytes out;
  std::array<std::byte, 65536> buffer;
  for (;;) {
    auto got = from.read(buffer);
    out.insert(out.end(), buffer.begin(),
               buffer.begin() + static_cast<std::ptrdiff_t>(got.bytes));
    if (got.state == io_state::closed || got.state == io_state::failed)
      return out;
    if (got.state != io_state::done
        && !await_ready(from.fd(),
                        static_cast<short>(stream::events_for(got.state)),
                        soon()))
      return {};
  }
}

bool ends(stream& x, deadline until) {
  std::array<std::byte, 65536> buffer;
  for (;;) {
    auto got = x.read(buffer);
    if (got.state == io_state::closed || got.state == io_state::failed)
      return true;
    if (got.state != io_state::done
        && !await_ready(x.fd(),
                        static_cast<short>(stream::events_for(got.state)),
                        until))
      return false;
  }
}

void must_hold(bool so, const char* what) {
  if (so)
    return;
  std::cerr << "does not hold: " << what << std::endl;
  std::abort();
}

bool becomes(const std::function<bool()>& so, deadline until) {
  auto nothing = must(process::make_wake_fd());
  while (!so()) {
    if (until.passed())
      return false;
    pollfd event{nothing.get(), POLLIN, 0};
    ::poll(&event, 1, 2);
  }
  return true;
}

} // namespace net_test
