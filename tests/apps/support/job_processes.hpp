// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "support/program.hpp"

namespace troupe::test {

/// A process of a job and its part.
struct job_process {
  enum class role {
    driver,
    guard,
    sweeper,
    device_host,
    cpu_host,
    starting,
  };

  role part = role::starting;
  pid_t pid = 0;
  /// Of hosts.
  int node = -1;
  int slot = -1;
  std::string job;
};

/// What can be told from a process's name and arguments: guards, sweepers and hosts. On
/// each machine `num_device` devices come first, then the CPU host, then hosts
/// of isolated models, which are device hosts too.
[[nodiscard]] job_process describe(const process_entry& x, int num_device);

} // namespace troupe::test
