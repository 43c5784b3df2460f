// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "troupe/actors/net/job_key.hpp"
#include "troupe/actors/process/unique_fd.hpp"
#include "troupe/core/clock.hpp"

namespace troupe::net {

/// What a gate knows: where control connections lead, whose keys it accepts,
/// who takes pulses. And what it writes into the log of those it refuses.
///
/// Threads: any.
class gate_book {
public:
  using pulse_handler = std::function<void(process::unique_fd)>;

  void route(std::int32_t slot, std::uint16_t loopback_port);

  void unroute(std::int32_t slot);

  /// Nothing if no process is there.
  [[nodiscard]] std::optional<std::uint16_t> port_of(std::int32_t slot) const;

  void admit(std::string job, job_key key);

  void dismiss(const std::string& job);

  [[nodiscard]] std::optional<job_key> key_of(const std::string& job) const;

  void on_pulse(pulse_handler take);

  /// An empty one if nobody takes pulses.
  [[nodiscard]] pulse_handler take_pulse() const;

  /// Writes a warning, `lines_max` at most in `lines_time`: strangers must not
  /// fill the disk.
  void note_refusal(const std::string& who, std::string_view why);

  static constexpr int lines_max = 20;

  static constexpr duration lines_time = std::chrono::seconds{10};

private:
  mutable std::mutex mutex_;
  std::map<std::int32_t, std::uint16_t> ports_;
  std::map<std::string, job_key> keys_;
  pulse_handler take_pulse_;
  time_point lines_since_{};
  int lines_ = 0;
  std::uint64_t unwritten_ = 0;
};

} // namespace troupe::net
