// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "troupe/actors/net/endpoint.hpp"
#include "troupe/actors/net/job_key.hpp"
#include "troupe/actors/process/unique_fd.hpp"
#include "troupe/core/clock.hpp"
#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"

namespace troupe::net {

struct pulse_settings {
  /// Between two signs of life.
  duration pulse = std::chrono::milliseconds{100};

  /// Silence that is reported. Leaves room for lost packets, which TCP sends
  /// again after 200 ms at the earliest.
  duration timeout = std::chrono::milliseconds{800};

  /// A sign of life that comes so much later than it should is reported; 0:
  /// never.
  duration lag = duration::zero();
};

/// Called on the thread all links share: no waiting.
struct pulse_listener {
  /// Nothing was heard for so long. Once, until it is heard again.
  std::function<void(std::chrono::milliseconds silent)> on_silent;

  /// The silence that was reported is over.
  std::function<void()> on_heard;

  /// The connection has ended; nothing follows. The other process is gone, or
  /// the way to it has been for about 20 s.
  std::function<void()> on_closed;

  /// A sign of life came late, though not so late that the silence was reported.
  /// Each time.
  std::function<void(std::chrono::milliseconds late)> on_late = {};
};

/// Signs of life between two processes of different machines: both ends send
/// a byte each pulse, and each hears whether the other does. Tells a frozen
/// machine or process, whose connections all stay open, in less than a second;
/// see `silence_watch` for who is not taken for frozen.
///
/// Threads: all links of a process share one, of high priority where the system
/// allows it, so that a machine whose cores are all busy does not look frozen.
class pulse_link {
public:
  /// Takes over a connection that a gate has handed out (`gate::on_pulse`).
  /// Fails with `errc::exhausted`.
  [[nodiscard]] static result<std::unique_ptr<pulse_link>>
  adopt(process::unique_fd socket, pulse_settings config,
        pulse_listener listener);

  /// Opens a pulse channel to the gate at `to`. Blocks. Fails as `dial` and
  /// `knock` do.
  [[nodiscard]] static result<std::unique_ptr<pulse_link>>
  dial(const endpoint& to, std::string_view job, const job_key& key,
       pulse_settings config, pulse_listener listener, deadline until);

  pulse_link(const pulse_link&) = delete;

  pulse_link& operator=(const pulse_link&) = delete;

  /// Closes the connection. No callback runs once it returns. Not from a
  /// callback.
  ~pulse_link();

private:
  struct impl;

  explicit pulse_link(std::unique_ptr<impl> x);

  std::unique_ptr<impl> impl_;
};

} // namespace troupe::net
