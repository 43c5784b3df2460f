// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "troupe/actors/net/data_server.hpp"
#include "troupe/actors/net/endpoint.hpp"
#include "troupe/actors/net/job_key.hpp"
#include "troupe/actors/net/tls_identity.hpp"
#include "troupe/actors/process/unique_fd.hpp"
#include "troupe/core/clock.hpp"
#include "troupe/core/error.hpp"

namespace troupe::net {

struct gate_settings {
  /// Where to listen. Port 0: any that is free.
  endpoint listen{"127.0.0.1", 0};

  /// Who this machine is. With it control channels must come over TLS; data
  /// and pulse channels never do, they prove the job's key. Without it the
  /// gate listens on loopback alone.
  std::optional<tls_identity> tls;

  /// From accepting a connection until it is known what it is for, and until
  /// whoever opened it has proved the right to it.
  duration opening_max = std::chrono::seconds{2};

  /// Connections of all kinds together, but for pulses, which are handed out.
  /// One more is closed at once.
  std::size_t connections_max = 1024;

  data_settings data;
};

/// The one TCP port of a machine of the job. What comes in says first what it
/// is for (preamble.hpp):
///
///     other machine          gate                     this machine
///       control  --------->  splice  -------------->  127.0.0.1:port of a slot
///       data     --------->  data server  --------->  handler
///       pulse    --------->  handed out  ---------->  on_pulse
///
/// Nobody gets further than the opening without a proof: the certificate of
/// the job's own authority for control, or, at a gate without TLS (which
/// therefore listens on loopback alone), being the same user of the same
/// machine; the job's key for data and pulses. Those two channels are
/// authenticated, but neither encrypted nor protected against somebody who can
/// alter packets on their way: they are for networks of the job's own.
///
/// One peer that is slow, silent, malformed or a stranger costs the others
/// nothing: openings have a deadline and bounded memory, and their number has
/// a bound.
///
/// Threads: owns one for openings, splices and idle data channels, and those
/// of the data server. All members may be called from any thread, but not from
/// the gate's own callbacks.
class gate {
public:
  /// Begins to listen. Fails with
  ///  - `errc::refused`: not a loopback address, and no TLS;
  ///  - `errc::unavailable`, `errc::invalid`: the port is taken, or the
  ///    address is not this machine's;
  ///  - `errc::exhausted`.
  [[nodiscard]] static result<std::unique_ptr<gate>>
  start(gate_settings config);

  gate(const gate&) = delete;

  gate& operator=(const gate&) = delete;

  /// Closes the port and all connections; waits for data handlers that run.
  ~gate();

  /// Where it listens, in figures, with the port chosen.
  [[nodiscard]] endpoint bound() const;

  /// Control connections to `slot` (`process::node_slot`: the node itself) lead
  /// to that port of 127.0.0.1 from now on.
  void route(std::int32_t slot, std::uint16_t loopback_port);

  /// There is no process in that slot any more. Connections that are open end
  /// when it closes them.
  void unroute(std::int32_t slot);

  /// Data and pulse channels of this job are accepted from now on.
  void admit(std::string job, job_key key);

  /// Not any more. Those that are open stay.
  void dismiss(const std::string& job);

  /// Who finds buffers for data channels; see `data_server::serve`. Empty: none
  /// are served.
  void serve(data_server::handler answer);

  /// Who takes pulse connections after their proof: plain TCP, non-blocking,
  /// for `pulse_link::adopt`. Called on the gate's thread: no waiting. Until it
  /// is set, pulses are refused.
  void on_pulse(std::function<void(process::unique_fd)> take);

  /// Connections open now, those that are being opened included.
  [[nodiscard]] std::size_t connections() const;

private:
  struct impl;

  explicit gate(std::unique_ptr<impl> x);

  std::unique_ptr<impl> impl_;
};

} // namespace troupe::net
