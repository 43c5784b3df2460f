// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

namespace troupe::test {

/// What a bad network does to bytes on their way.
struct slow_relay_settings {
  std::uint64_t seed = 0;
  /// Each piece waits for this long, and for a random time up to that.
  int delay_ms = 5;
  int jitter_ms = 10;
  /// One piece in so many waits for as long as TCP takes to send a lost packet
  /// again, evenly, so that as many pieces hold one; the seed says which is the
  /// first. 0: none.
  int lost_one_in = 100;
  int resend_ms = 200;
};

/// A port of 127.0.0.1 that leads to another one over a bad network: bytes come
/// late, in order and all of them. A thread of its own; ends with the object.
class slow_relay {
public:
  /// Throws std::runtime_error if no port is left.
  slow_relay(std::uint16_t to, slow_relay_settings settings);

  ~slow_relay();

  slow_relay(const slow_relay&) = delete;
  slow_relay& operator=(const slow_relay&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept;

  /// Pieces that were passed on, and that waited like lost ones.
  [[nodiscard]] std::uint64_t passed() const noexcept;
  [[nodiscard]] std::uint64_t lost() const noexcept;

private:
  struct impl;

  std::unique_ptr<impl> impl_;
};

} // namespace troupe::test
