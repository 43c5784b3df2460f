// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/gate_session.hpp"

#include <array>
#include <cerrno>

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "troupe/actors/net/dial.hpp"
#include "troupe/actors/net/peer_user.hpp"
#include "troupe/actors/net/proof.hpp"
#include "troupe/actors/net/socket_address.hpp"

namespace troupe::net {

using preamble::channel;

namespace {

// What TLS begins with: a record of its handshake.
constexpr std::byte tls_first_byte{0x16};

// What somebody who was refused may still send before the end.
constexpr std::size_t drain_bytes_max = 64 * 1024;

std::string name_of(std::int32_t slot) {
  return slot == process::node_slot
           ? std::string{"no node is ready here"}
           : fmt::format("no process in slot {}", slot);
}

} // namespace

gate_session::gate_session(event_loop& loop, gate_book& book,
                           const settings& config, process::unique_fd socket,
                           finished on_finished)
  : loop_(loop),
    book_(book),
    config_(config),
    on_finished_(std::move(on_finished)),
    peer_(to_string(socket_address::of_peer(socket.get()))),
    socket_(std::move(socket)) {
  watch_ = loop_.watch(socket_.get(), EPOLLIN,
                       [this](std::uint32_t events) { on_event(events); });
  timer_ = loop_.after(config_.opening_max, [this] {
    auto ms = std::chrono::round<std::chrono::milliseconds>(config_.opening_max)
                .count();
    // Whoever was refused and does not leave was noted already.
    if (step_ == step::drain)
      end(outcome::nothing);
    else
      drop(fmt::format("its opening was not complete after {} ms", ms));
    advance();
  });
}

gate_session::~gate_session() {
  loop_.forget(watch_);
  loop_.forget(watch_inside_);
  loop_.cancel(timer_);
}

void gate_session::on_event(std::uint32_t events) {
  // Only reading and writing would notice, and nothing is read meanwhile.
  if (step_ == step::connect && (events & (EPOLLERR | EPOLLHUP)) != 0)
    end(outcome::nothing);
  advance();
}

void gate_session::advance() {
  auto wait = io_state::done;
  while (wait == io_state::done) {
    switch (step_) {
      case step::detect: wait = detect(); break;
      case step::handshake: wait = handshake(); break;
      case step::read: wait = read(); break;
      case step::connect: wait = connect(); break;
      case step::say: wait = say(); break;
      case step::drain: wait = drain(); break;
      case step::over: {
        loop_.forget(watch_);
        loop_.forget(watch_inside_);
        loop_.cancel(timer_);
        // The session may be gone when the call returns.
        auto on_finished = std::move(on_finished_);
        on_finished(outcome_);
        return;
      }
    }
  }
  loop_.change(watch_, step_ == step::connect ? 0 : stream::events_for(wait));
}

// -- steps --------------------------------------------------------------------

io_state gate_session::detect() {
  std::byte first{};
  auto got = ::recv(socket_.get(), &first, 1, MSG_PEEK | MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR))
    return io_state::want_read;
  if (got <= 0) {
    // Somebody who only looks whether the port is open: no line for that.
    end(outcome::nothing);
  } else if (first == preamble::first_byte) {
    outside_ = make_plain_stream(std::move(socket_));
    step_ = step::read;
  } else if (first == tls_first_byte && config_.open_tls) {
    tls_ = true;
    outside_ = config_.open_tls(std::move(socket_));
    step_ = step::handshake;
    if (!outside_)
      drop("no memory for TLS");
  } else if (first == tls_first_byte) {
    drop("it wants TLS, which this gate has no certificates for");
  } else {
    drop("it does not speak Troupe's protocol");
  }
  return io_state::done;
}

io_state gate_session::handshake() {
  auto state = outside_->handshake();
  switch (state) {
    case io_state::done: step_ = step::read; break;
    case io_state::closed:
      drop("it left during the TLS handshake: it may not know our certificate");
      break;
    case io_state::failed:
      book_.note_refusal(peer_, outside_->failure().message());
      // It must get to read what TLS told it.
      ::shutdown(outside_->fd(), SHUT_WR);
      step_ = step::drain;
      break;
    default: return state;
  }
  return io_state::done;
}

io_state gate_session::read() {
  if (in_.empty())
    in_.resize(preamble::header_bytes);
  auto got = outside_->read(std::span{in_}.subspan(have_));
  have_ += got.bytes;
  if (got.state == io_state::closed) {
    drop("it left before its opening was complete");
    return io_state::done;
  }
  if (got.state == io_state::failed) {
    drop(outside_->failure().message());
    return io_state::done;
  }
  if (got.state != io_state::done || have_ < in_.size())
    return got.state;
  if (have_ == preamble::header_bytes) {
    auto size = preamble::body_size(in_);
    if (!size) {
      refuse(size.error().code(), size.error().message());
      return io_state::done;
    }
    in_.resize(preamble::header_bytes + *size);
    if (*size > 0)
      return io_state::done;
  }
  auto message = preamble::decode(in_);
  in_.clear();
  have_ = 0;
  if (message)
    handle(*message);
  else
    refuse(message.error().code(), message.error().message());
  return io_state::done;
}

io_state gate_session::connect() {
  if (!inside_ready_)
    return io_state::want_read;
  loop_.forget(watch_inside_);
  if (connect_error(inside_->fd()) != 0)
    refuse(errc::unavailable, name_of(hello_->slot));
  else {
    outcome_ = outcome::control;
    say(preamble::accepted{}, step::over);
  }
  return io_state::done;
}

io_state gate_session::say() {
  while (said_ < out_.size()) {
    auto sent = outside_->write(std::span{out_}.subspan(said_));
    said_ += sent.bytes;
    if (sent.state == io_state::closed || sent.state == io_state::failed) {
      // It has left; nothing to refuse any more.
      end(outcome::nothing);
      return io_state::done;
    }
    if (sent.state != io_state::done)
      return sent.state;
  }
  step_ = after_say_;
  if (step_ == step::drain)
    ::shutdown(outside_->fd(), SHUT_WR);
  return io_state::done;
}

io_state gate_session::drain() {
  // Closing with bytes unread would take back what was just said.
  std::array<std::byte, 4096> waste;
  for (;;) {
    auto got = ::recv(outside_->fd(), waste.data(), waste.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
      return io_state::want_read;
    drained_ += got > 0 ? static_cast<std::size_t>(got) : 0;
    if (got <= 0 || drained_ > drain_bytes_max) {
      end(outcome::nothing);
      return io_state::done;
    }
  }
}

// -- messages -----------------------------------------------------------------

void gate_session::handle(const preamble::message& x) {
  if (auto* hello = std::get_if<preamble::hello>(&x); hello && !hello_)
    handle(*hello);
  else if (auto* answer = std::get_if<preamble::answer>(&x); answer && key_)
    handle(*answer);
  else
    refuse(errc::corrupt, "a message out of turn");
}

void gate_session::handle(const preamble::hello& x) {
  hello_ = x;
  if (x.kind == channel::control) {
    open_control();
    return;
  }
  if (tls_) {
    refuse(errc::refused,
           fmt::format("{} channels are opened without TLS: they prove the "
                       "job's key",
                       to_string(x.kind)));
    return;
  }
  key_ = book_.key_of(x.job);
  auto nonce = random_secret();
  if (!key_)
    refuse(errc::refused, fmt::format("job '{}' is not known here", x.job));
  else if (x.kind == channel::pulse && !book_.take_pulse())
    refuse(errc::unavailable, "nobody waits for pulses here");
  else if (!nonce)
    refuse(nonce.error().code(), nonce.error().message());
  else {
    nonce_ = *nonce;
    say(preamble::challenge{nonce_}, step::read);
  }
}

void gate_session::handle(const preamble::answer& x) {
  auto wanted = make_proof(*key_, prover::dialer, *hello_, nonce_, x.nonce);
  if (!same_bytes(x.proof, wanted)) {
    refuse(errc::refused,
           fmt::format("its proof for job '{}' is wrong: it does not have the "
                       "job's key",
                       hello_->job));
    return;
  }
  outcome_ = hello_->kind == channel::data ? outcome::data : outcome::pulse;
  say(preamble::accepted{make_proof(*key_, prover::gate, *hello_, nonce_,
                                    x.nonce)},
      step::over);
}

void gate_session::open_control() {
  if (!tls_ && config_.open_tls) {
    refuse(errc::refused, "this machine takes orders over TLS alone: pass "
                          "`--certs DIR`");
    return;
  }
  // Without TLS the gate listens on loopback, and what is left to tell apart
  // are the users of this machine.
  if (!tls_ && !peer_is_us(outside_->fd())) {
    refuse(errc::refused, "another user of this machine");
    return;
  }
  auto port = book_.port_of(hello_->slot);
  if (!port) {
    refuse(errc::unavailable, name_of(hello_->slot));
    return;
  }
  auto socket = begin_connect(socket_address::loopback(*port));
  if (!socket) {
    refuse(errc::unavailable, name_of(hello_->slot));
    return;
  }
  inside_ = make_plain_stream(std::move(*socket));
  step_ = step::connect;
  watch_inside_ = loop_.watch(inside_->fd(), EPOLLOUT, [this](std::uint32_t) {
    inside_ready_ = true;
    advance();
  });
}

// -- ends ---------------------------------------------------------------------

void gate_session::say(const preamble::message& x, step then) {
  out_ = preamble::encode(x);
  said_ = 0;
  after_say_ = then;
  step_ = step::say;
}

void gate_session::refuse(errc code, const std::string& why) {
  book_.note_refusal(peer_, why);
  outcome_ = outcome::nothing;
  say(preamble::refused{error{code, why}}, step::drain);
}

void gate_session::drop(std::string_view why) {
  book_.note_refusal(peer_, why);
  end(outcome::nothing);
}

void gate_session::end(outcome x) {
  outcome_ = x;
  step_ = step::over;
}

} // namespace troupe::net
