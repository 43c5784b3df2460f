// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "troupe/actors/process/unique_fd.hpp"
#include "troupe/core/clock.hpp"
#include "troupe/core/error.hpp"

namespace troupe::monitor {

struct status_server_settings {
  /// Of the loopback device; 0 means any free one.
  std::uint16_t port = 0;
  /// What everybody is told first, a whole line.
  std::string hello;
  std::chrono::milliseconds interval{500};
  /// More are refused.
  std::size_t clients_max = 16;
  /// One that takes nothing for so long is dropped.
  std::chrono::milliseconds stall_max{60'000};
};

/// Tells whoever connects to a port how a run stands, a line each interval.
///
/// Read-only by construction: what clients send is thrown away unread, and one
/// that sends much is dropped. A client that stalls has at most one line
/// waiting for it and misses the others; one that dies is forgotten. Nobody but
/// the server's own thread ever waits for a client, and nothing is asked of the
/// run while there is none.
class status_server {
public:
  /// `source` gives the present line; it runs on the server's thread and may
  /// take a while. Fails with `errc::exhausted` if the port is taken.
  [[nodiscard]] static result<std::unique_ptr<status_server>>
  start(status_server_settings settings, std::function<std::string()> source);

  /// Tells the last line, waits a moment for those who read, and ends.
  ~status_server();
  status_server(const status_server&) = delete;
  status_server& operator=(const status_server&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

private:
  struct client {
    process::unique_fd socket;
    /// Not taken yet, from `sent` on.
    std::string waiting;
    std::size_t sent = 0;
    /// Bytes it has sent us.
    std::size_t heard = 0;
    time_point since{};
    bool gone = false;
  };

  status_server(status_server_settings settings,
                std::function<std::string()> source,
                process::unique_fd listener, process::unique_fd stop,
                std::uint16_t port);

  void run();
  void step(std::chrono::milliseconds wait);
  void accept_all();
  void tell_all(const std::string& line);
  void flush(client& to);
  void listen_to(client& from);
  void forget_gone();
  [[nodiscard]] bool anything_waits() const;

  status_server_settings settings_;
  std::function<std::string()> source_;
  process::unique_fd listener_;
  process::unique_fd stop_;
  std::uint16_t port_;
  std::vector<client> clients_;
  bool stopping_ = false;
  std::thread thread_;
};

} // namespace troupe::monitor
