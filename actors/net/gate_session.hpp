// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "troupe/actors/net/event_loop.hpp"
#include "troupe/actors/net/gate_book.hpp"
#include "troupe/actors/net/preamble.hpp"
#include "troupe/actors/net/stream.hpp"

namespace troupe::net {

/// The gate's side of one connection's opening, from the first byte to the
/// moment its bytes belong to a channel or it is refused:
///
///     detect --TLS--> handshake --.
///        '----------plain--------> read --control--> connect --.
///                                    |                         |
///                                    |--data, pulse--> say --> read (answer)
///                                    |                         |
///                                  refuse                     say (accepted)
///                                    v                         v
///                                  drain --> finished <--------'
///
/// One deadline for all of it, and at most one message of memory.
///
/// Threads: the loop's alone.
class gate_session {
public:
  /// What came of it.
  enum class outcome : std::uint8_t { nothing, control, data, pulse };

  /// Wraps an accepted socket into the gate's end of TLS.
  using tls_opener = std::function<std::unique_ptr<stream>(process::unique_fd)>;

  struct settings {
    duration opening_max;

    /// Empty: no TLS here.
    tls_opener open_tls;
  };

  /// Called once, as the last thing the session does, and not before the
  /// constructor has returned; may destroy it.
  using finished = std::function<void(outcome)>;

  /// What is referred to must outlive the session.
  gate_session(event_loop& loop, gate_book& book, const settings& config,
               process::unique_fd socket, finished on_finished);

  gate_session(const gate_session&) = delete;

  gate_session& operator=(const gate_session&) = delete;

  ~gate_session();

  /// The connection, once finished.
  [[nodiscard]] std::unique_ptr<stream> take_outside() {
    return std::move(outside_);
  }

  /// For `control`: the way to the process on this machine.
  [[nodiscard]] std::unique_ptr<stream> take_inside() {
    return std::move(inside_);
  }

private:
  enum class step : std::uint8_t {
    detect,
    handshake,
    read,
    connect,
    say,
    drain,
    over,
  };

  void on_event(std::uint32_t events);

  void advance();

  // Each does what its step can do now and says what it waits for; `done` if
  // the step has changed.
  io_state detect();
  io_state handshake();
  io_state read();
  io_state connect();
  io_state say();
  io_state drain();

  /// Acts on a whole message.
  void handle(const preamble::message& x);
  void handle(const preamble::hello& x);
  void handle(const preamble::answer& x);
  void open_control();

  /// Says `x`, then goes on with `then`.
  void say(const preamble::message& x, step then);

  /// Says why not, notes it and ends once the other side has read it.
  void refuse(errc code, const std::string& why);

  /// Notes why and ends without a word.
  void drop(std::string_view why);

  void end(outcome x);

  event_loop& loop_;
  gate_book& book_;
  const settings& config_;
  finished on_finished_;
  std::string peer_;

  // The connection: a socket until it is known what speaks.
  process::unique_fd socket_;
  std::unique_ptr<stream> outside_;
  bool tls_ = false;

  std::unique_ptr<stream> inside_;
  bool inside_ready_ = false;

  step step_ = step::detect;
  step after_say_ = step::over;
  outcome outcome_ = outcome::nothing;
  bytes in_;
  std::size_t have_ = 0;
  bytes out_;
  std::size_t said_ = 0;
  std::size_t drained_ = 0;
  std::optional<preamble::hello> hello_;
  std::optional<job_key> key_;
  secret_bytes nonce_{};

  event_loop::token watch_ = 0;
  event_loop::token watch_inside_ = 0;
  event_loop::token timer_ = 0;
};

} // namespace troupe::net
