// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "troupe/core/deadline.hpp"

namespace troupe::test {

/// How a program is started.
struct program_options {
  /// Its folder; empty means the test's own.
  std::filesystem::path folder;
  /// `NAME=value`, added to the test's environment.
  std::vector<std::string> env;
  /// Where stdout and stderr go, together. Not taken over: -1 means a file.
  int output = -1;
  /// Start without stdin, stdout and stderr.
  bool closed_output = false;
  /// Run in a new mount namespace as root, with a file system of this many
  /// bytes over `folder`; 0 means no. See `can_mount`.
  std::size_t small_disk = 0;
  /// That file system cannot be written to.
  bool read_only_disk = false;
};

/// A program that runs. Killed and reaped by the destructor; what it started
/// itself is for `processes_with`.
class program {
public:
  /// Throws std::runtime_error if no process can be made. A program that is
  /// not there ends with code 127.
  explicit program(const std::vector<std::string>& argv,
                   const program_options& options = {});

  ~program();

  program(const program&) = delete;
  program& operator=(const program&) = delete;

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

  void signal(int number) const;

  /// The exit code, minus the signal's number for one that was killed, or
  /// nothing if it still runs when `until` passes.
  [[nodiscard]] std::optional<int> wait(deadline until);

  /// What it has written so far, if `options.output` was not given.
  [[nodiscard]] std::string output() const;

private:
  pid_t pid_ = -1;
  int pidfd_ = -1;
  int output_ = -1;
  std::optional<int> status_;
};

/// True if `program_options::small_disk` works here.
[[nodiscard]] bool can_mount();

/// A process of this machine.
struct process_entry {
  pid_t pid = 0;
  pid_t parent = 0;
  /// The kernel's name of it, at most 15 bytes.
  std::string name;
  std::vector<std::string> argv;
};

/// Living processes whose environment holds `entry` (`NAME=value`): what a
/// program was given goes down to everything it starts. Zombies do not count.
[[nodiscard]] std::vector<process_entry>
processes_with(const std::string& entry);

/// Waits until no such process is left; what is left when `until` passes.
[[nodiscard]] std::vector<process_entry> wait_gone(const std::string& entry,
                                                   deadline until);

/// Polls until `fd` is readable or its other end is gone.
[[nodiscard]] bool wait_readable(int fd, deadline until);

} // namespace troupe::test
