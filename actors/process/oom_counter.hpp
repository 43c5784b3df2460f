// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace troupe::process {

/// Counts what the kernel has killed for want of memory since it was made. The
/// kernel does not tell a parent why its child got SIGKILL; what it does tell
/// is a counter: of the memory cgroup that this process and its children are in
/// (`memory.events`, or `memory.oom_control` of the older hierarchies), else of
/// the whole machine (`/proc/vmstat`).
///
/// A count that rises proves that something was killed there, not what.
class oom_counter {
public:
  /// Where the system tells; a test hands in its own.
  struct places {
    std::filesystem::path own_cgroup = "/proc/self/cgroup";
    std::filesystem::path cgroups = "/sys/fs/cgroup";
    std::filesystem::path machine = "/proc/vmstat";
  };

  oom_counter() : oom_counter(places{}) {
    // nop
  }

  explicit oom_counter(const places& where);

  /// A sentence's end if something was killed since this was last asked:
  /// `"the kernel's out-of-memory killer struck (oom_kill in FILE rose from 0
  /// to 1)"`. Empty if nothing was, or if nobody tells.
  [[nodiscard]] std::string what_is_new();

private:
  [[nodiscard]] std::optional<std::uint64_t> read() const;

  /// Empty if the system does not tell.
  std::filesystem::path file_;
  std::uint64_t known_ = 0;
};

} // namespace troupe::process
