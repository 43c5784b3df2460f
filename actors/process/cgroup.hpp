// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace troupe::process {

/// Where the system tells of control groups; a test hands in its own.
struct cgroup_places {
  std::filesystem::path own = "/proc/self/cgroup";
  std::filesystem::path root = "/sys/fs/cgroup";
};

/// A control group that this process is in.
struct own_cgroup {
  /// `cpu,cpuacct` in the older hierarchies, empty in the unified one.
  std::string controllers;
  /// Relative to where its hierarchy is mounted.
  std::filesystem::path folder;
};

/// Lines are `0::/path` in the unified hierarchy, `4:memory:/path` in the older
/// ones. A folder outside of what this process sees becomes empty.
[[nodiscard]] std::vector<own_cgroup>
own_cgroups(const std::filesystem::path& file);

/// What control groups (containers, batch systems) let this process have:
/// limits of its own group and of those around it, as far as they are seen.
struct cgroup_limits {
  std::optional<std::uint64_t> memory_bytes;
  /// Computing time in cores, perhaps a fraction of one.
  std::optional<double> cores;
};

/// Source: Documentation/admin-guide/cgroup-v2.rst (`memory.max`, `cpu.max`),
/// cgroup-v1/memory.rst and scheduler/sched-bwc.rst of the kernel.
[[nodiscard]] cgroup_limits read_cgroup_limits(const cgroup_places& where = {});

/// Cores that this process may keep busy: those it may run on, and no more than
/// its limit, rounded up. At least 1.
[[nodiscard]] std::int32_t usable_cores(const cgroup_places& where = {});

/// Memory that this process may have: the machine's, or its limit.
[[nodiscard]] std::uint64_t
usable_memory_bytes(const cgroup_places& where = {});

} // namespace troupe::process
