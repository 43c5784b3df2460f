// SPDX-License-Identifier: Apache-2.0
#include "apps/support/job_processes.hpp"

#include <cstdlib>

namespace troupe::test {

namespace {

// Positions among a host's arguments, after the program's name, the verb and
// the application.
constexpr std::size_t job_argument = 3;
constexpr std::size_t node_argument = 4;
constexpr std::size_t slot_argument = 5;

} // namespace

job_process describe(const process_entry& x, int num_device) {
  job_process out;
  out.pid = x.pid;
  if (x.name == "troupe-guard") {
    out.part = job_process::role::guard;
  } else if (x.name == "troupe-sweeper") {
    out.part = job_process::role::sweeper;
  } else if (x.argv.size() > slot_argument && x.argv[1] == "__host") {
    out.job = x.argv[job_argument];
    out.node = std::atoi(x.argv[node_argument].c_str());
    out.slot = std::atoi(x.argv[slot_argument].c_str());
    out.part = out.slot == num_device ? job_process::role::cpu_host
                                      : job_process::role::device_host;
  }
  return out;
}

} // namespace troupe::test
