// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/core/error.hpp"
#include "troupe/core/ids.hpp"

namespace troupe::process {

/// The place of the node process itself among the peers of its machine. Device
/// hosts have slots 0, 1, 2, ...
inline constexpr std::int32_t node_slot = -1;

/// The node process ends with the job, so it has one life.
inline constexpr troupe::incarnation node_incarnation{0};

/// Slots end before this value.
inline constexpr std::int32_t slots_max = 4096;

/// What the guard starts in a slot.
struct host_command {
  /// Whose place the process takes; no other process may live there.
  std::int32_t slot = 0;

  /// Which life of the slot this is; a restart takes the next one.
  troupe::incarnation incarnation;

  /// The program to execute; empty: the one in `guard_settings`.
  std::string executable;

  /// Arguments, the program's name first.
  std::vector<std::string> argv;

  /// `NAME=value` entries that add to or replace the guard's environment.
  std::vector<std::string> env;

  /// stdout and stderr are appended here; empty: discarded.
  std::string log_path;
};

/// A process the guard has started: `execve` has succeeded.
struct host_process {
  std::int32_t pid = 0;
  troupe::incarnation incarnation;
};

/// A process of the guard's that has ended.
struct host_exit {
  std::int32_t slot = 0;
  troupe::incarnation incarnation;
  std::int32_t pid = 0;

  /// As `waitpid` reports it.
  int wait_status = 0;

  /// How long it had given no sign of life when the guard killed it for that; 0
  /// if it ended otherwise.
  std::uint32_t silent_ms = 0;

  /// For people: `"killed by signal 9 (SIGKILL)"`, `"exited with code 3"`,
  /// `"frozen: no sign of life for 812 ms"`.
  [[nodiscard]] std::string describe() const;
};

/// True for a name made of at most 64 letters, digits, `-` and `_`: nothing
/// that could lead a path astray.
[[nodiscard]] bool is_job_id(std::string_view x) noexcept;

} // namespace troupe::process
