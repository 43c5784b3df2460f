// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/pulse_link.hpp"

#include <array>

#include <sys/epoll.h>

#include "troupe/actors/net/dial.hpp"
#include "troupe/actors/net/knock.hpp"
#include "troupe/actors/net/shared_loop.hpp"
#include "troupe/actors/net/silence_watch.hpp"
#include "troupe/actors/net/stream.hpp"

namespace troupe::net {

namespace {

constexpr std::byte sign{1};

} // namespace

struct pulse_link::impl {
  impl(std::shared_ptr<event_loop> where, std::unique_ptr<stream> channel,
       pulse_settings config, pulse_listener callbacks)
    : loop(std::move(where)),
      socket(std::move(channel)),
      listener(std::move(callbacks)),
      watch(config.pulse, config.timeout),
      lag(config.lag) {
    // nop
  }

  std::shared_ptr<event_loop> loop;

  // The loop's thread alone.
  std::unique_ptr<stream> socket;
  pulse_listener listener;
  silence_watch watch;
  duration lag;
  event_loop::token watched = 0;
  event_loop::token timer = 0;

  ~impl() {
    loop->run([this] { close(); });
  }

  void begin() {
    watched = loop->watch(socket->fd(), EPOLLIN,
                          [this](std::uint32_t) { read(); });
    if (watched == 0) {
      lose();
      return;
    }
    tick();
  }

  void close() {
    loop->forget(watched);
    loop->cancel(timer);
    watched = timer = 0;
    socket.reset();
  }

  void lose() {
    close();
    if (listener.on_closed)
      listener.on_closed();
  }

  void tick() {
    // Bytes that the other side does not take say no more than one of them.
    auto sent = socket->write({&sign, 1});
    if (sent.state == io_state::failed) {
      lose();
      return;
    }
    // Heard before judged: after a pause of our own both are due.
    if (!hear())
      return;
    report(watch.tick());
    timer = loop->after(watch.next() - steady_clock().now(),
                        [this] { tick(); });
  }

  void read() {
    // More than a few hundred signs at once come from a flood.
    if (hear())
      return;
  }

  /// False if the connection has ended.
  bool hear() {
    std::array<std::byte, 256> signs;
    auto got = socket->read(signs);
    if (got.state == io_state::want_read)
      return true;
    if (got.state != io_state::done) {
      lose();
      return false;
    }
    report(watch.heard());
    if (lag > duration::zero() && watch.late() >= lag && listener.on_late)
      listener.on_late(
        std::chrono::round<std::chrono::milliseconds>(watch.late()));
    return true;
  }

  void report(silence_watch::change x) {
    if (x == silence_watch::change::fell_silent && listener.on_silent)
      listener.on_silent(
        std::chrono::round<std::chrono::milliseconds>(watch.silence()));
    if (x == silence_watch::change::spoke_again && listener.on_heard)
      listener.on_heard();
  }
};

result<std::unique_ptr<pulse_link>> pulse_link::adopt(process::unique_fd socket,
                                                      pulse_settings config,
                                                      pulse_listener listener) {
  auto loop = shared_loop(event_loop::priority::high);
  if (!loop)
    return fail(loop.error());
  auto state = std::make_unique<impl>(std::move(*loop),
                                      make_plain_stream(std::move(socket)),
                                      config, std::move(listener));
  // Later, so that no callback runs before the caller has the link.
  state->loop->post([x = state.get()] { x->begin(); });
  return std::unique_ptr<pulse_link>{new pulse_link(std::move(state))};
}

result<std::unique_ptr<pulse_link>>
pulse_link::dial(const endpoint& to, std::string_view job, const job_key& key,
                 pulse_settings config, pulse_listener listener,
                 deadline until) {
  auto socket = net::dial(to, until);
  if (!socket)
    return fail(socket.error());
  auto channel = make_plain_stream(std::move(*socket));
  preamble::hello opening{preamble::channel::pulse, process::node_slot,
                          std::string{job}};
  auto opened = knock(*channel, to_string(to), opening, &key, until);
  if (!opened)
    return fail(opened.error());
  return adopt(channel->release(), config, std::move(listener));
}

pulse_link::pulse_link(std::unique_ptr<impl> x) : impl_(std::move(x)) {
  // nop
}

pulse_link::~pulse_link() = default;

} // namespace troupe::net
