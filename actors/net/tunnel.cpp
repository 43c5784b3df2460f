// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/tunnel.hpp"

#include <atomic>

#include <fmt/format.h>
#include <sys/epoll.h>

#include "troupe/actors/net/dial.hpp"
#include "troupe/actors/net/knock.hpp"
#include "troupe/actors/net/listener.hpp"
#include "troupe/actors/net/peer_user.hpp"
#include "troupe/actors/net/shared_loop.hpp"
#include "troupe/actors/net/socket_address.hpp"
#include "troupe/actors/net/splicer.hpp"
#include "troupe/actors/net/tls_identity.hpp"
#include "troupe/core/log.hpp"

namespace troupe::net {

namespace {

/// A gate without certificates cannot say so to somebody who speaks TLS.
error handshake_error(error x) {
  if (x.code() != errc::lost)
    return x;
  return error{errc::refused,
               fmt::format("the TLS handshake was cut short ({}): that machine "
                           "may have been started without `--certs DIR`",
                           x.message())};
}

} // namespace

struct tunnel::impl {
  std::shared_ptr<event_loop> loop;
  std::uint16_t port = 0;
  std::atomic<bool> ended = false;

  // The loop's thread alone.
  std::unique_ptr<stream> outside;
  std::unique_ptr<listener> door;
  std::unique_ptr<splicer> splice;
  event_loop::token watch = 0;
  event_loop::token timer = 0;

  ~impl() {
    loop->run([this] { end(); });
  }

  void wait_for_connection(process::unique_fd socket) {
    door = std::make_unique<listener>(*loop, std::move(socket),
                                      [this](process::unique_fd x) {
                                        take(std::move(x));
                                      });
    // The gate's side may end before anybody has come.
    watch = loop->watch(outside->fd(), EPOLLRDHUP,
                        [this](std::uint32_t) { end(); });
    timer = loop->after(accept_max, [this] { end(); });
  }

  void take(process::unique_fd inside) {
    if (!peer_is_us(inside.get())) {
      log::warning("tunnel", "refused a connection of another user to port {}",
                   port);
      return;
    }
    stop_waiting();
    splice = std::make_unique<splicer>(*loop);
    splice->add(make_plain_stream(std::move(inside)), std::move(outside),
                [this] { ended = true; });
  }

  void stop_waiting() {
    loop->forget(watch);
    loop->cancel(timer);
    door.reset();
  }

  void end() {
    stop_waiting();
    splice.reset();
    outside.reset();
    ended = true;
  }
};

result<std::unique_ptr<tunnel>> tunnel::open(const endpoint& to,
                                             const tls_identity* identity,
                                             std::int32_t slot,
                                             deadline until) {
  auto gate = to_string(to);
  auto socket = dial(to, until);
  if (!socket)
    return fail(socket.error());
  auto outside = identity ? identity->connect(std::move(*socket))
                          : make_plain_stream(std::move(*socket));
  if (!outside)
    return fail(errc::exhausted, "no memory for TLS");
  if (auto agreed = finish_handshake(*outside, until); !agreed)
    return fail(handshake_error(agreed.error()).within(gate));
  auto opened = knock(*outside, gate,
                      {preamble::channel::control, slot, std::string{}},
                      nullptr, until);
  if (!opened)
    return fail(opened.error());
  auto port = listen_at(socket_address::loopback(0), 1);
  if (!port)
    return fail(port.error());
  auto loop = shared_loop(event_loop::priority::normal);
  if (!loop)
    return fail(loop.error());
  auto state = std::make_unique<impl>();
  state->loop = std::move(*loop);
  state->port = socket_address::of_socket(port->get()).port();
  state->outside = std::move(outside);
  state->loop->run(
    [&state, &port] { state->wait_for_connection(std::move(*port)); });
  return std::unique_ptr<tunnel>{new tunnel(std::move(state))};
}

tunnel::tunnel(std::unique_ptr<impl> x) : impl_(std::move(x)) {
  // nop
}

tunnel::~tunnel() = default;

std::uint16_t tunnel::local_port() const noexcept {
  return impl_->port;
}

bool tunnel::ended() const noexcept {
  return impl_->ended;
}

void tunnel::close() {
  impl_->loop->run([this] { impl_->end(); });
}

} // namespace troupe::net
