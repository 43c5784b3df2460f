// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "troupe/actors/process/unique_fd.hpp"
#include "troupe/apps/monitoring/run_address.hpp"
#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"

namespace troupe::monitoring {

/// The lines that a run tells a monitor, from a socket. What it reads is not
/// trusted: a line has a bound.
class run_feed {
public:
  static constexpr std::size_t line_max = std::size_t{16} << 20;

  /// Fails with `errc::unavailable` if nobody listens there in time.
  [[nodiscard]] static result<run_feed> connect(const run_address& to,
                                                deadline until);

  /// For tests: a connected stream socket.
  explicit run_feed(process::unique_fd socket) : socket_(std::move(socket)) {
    // nop
  }

  /// Readable when there is something to `read`.
  [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }

  /// The whole lines that have arrived, without their ends; never waits. Fails
  /// with `errc::lost` at the end, `errc::corrupt` for a line without end.
  [[nodiscard]] result<std::vector<std::string>> read();

  /// Waits for the next line.
  [[nodiscard]] result<std::string> wait_line(deadline until);

private:
  process::unique_fd socket_;
  std::string begun_;
  std::vector<std::string> lines_;
};

} // namespace troupe::monitoring
