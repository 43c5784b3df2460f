// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "troupe/actors/process/unique_fd.hpp"
#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"

namespace troupe::engine {

/// Takes orders for a run that goes on: a line, answered with a line, over a
/// socket in the run's folder. Only the run's own user and root are listened to
/// (SO_PEERCRED), one after the other.
///
/// Threads: the desk's own. One that sends no whole line in time, or one that
/// is too long, is hung up on.
class order_desk {
public:
  static constexpr std::size_t line_max = 4096;
  static constexpr std::chrono::milliseconds patience{2'000};

  /// `obey` gets a line without its end and gives the answer, also without; it
  /// runs on the desk's thread, for as long as it takes. `path` is replaced.
  /// Errors: `errc::exhausted`, `errc::refused` (no right to write there).
  [[nodiscard]] static result<std::unique_ptr<order_desk>>
  open(const std::filesystem::path& path,
       std::function<std::string(const std::string&)> obey);

  /// Ends the thread, which must not be in `obey` for long, and removes the
  /// socket.
  ~order_desk();
  order_desk(const order_desk&) = delete;
  order_desk& operator=(const order_desk&) = delete;

private:
  order_desk(std::filesystem::path path,
             std::function<std::string(const std::string&)> obey,
             process::unique_fd listener, process::unique_fd stop);

  void run();
  void serve(int socket);

  std::filesystem::path path_;
  std::function<std::string(const std::string&)> obey_;
  process::unique_fd listener_;
  process::unique_fd stop_;
  std::thread thread_;
};

/// Sends one line to the desk at `path` and gives its answer. Blocks. Errors:
/// `errc::unavailable` (nobody is there), `errc::refused` (the run is another
/// user's), `errc::timed_out`, `errc::lost` (it hung up).
[[nodiscard]] result<std::string> give_order(const std::filesystem::path& path,
                                             const std::string& line,
                                             deadline until);

} // namespace troupe::engine
