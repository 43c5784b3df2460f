// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "troupe/core/deadline.hpp"

namespace troupe::process {

/// Every living descendant of this process, as /proc shows them now.
/// Zombies are left out.
[[nodiscard]] std::vector<std::int32_t> descendants();

/// True if the system is writing the core of a process that has crashed, as
/// `/proc/PID/status` says (Linux 4.15 and later; before that never).
[[nodiscard]] bool is_dumping_core(std::int32_t pid) noexcept;

/// The same of that file's text.
[[nodiscard]] bool says_core_dumping(std::string_view status) noexcept;

/// Kills every descendant and reaps them until none is left. Complete if this
/// process is a child subreaper: whatever a dying process leaves behind becomes
/// our child, so that even a fork bomb runs out of forkers. Returns false if
/// the deadline passed first (a process stuck in the kernel).
bool kill_descendants(deadline until) noexcept;

/// Removes /dev/shm/troupe.JOB.*, and nothing unless `is_job_id(job_id)`.
/// Returns how many files.
std::size_t sweep_shared_memory(std::string_view job_id) noexcept;

} // namespace troupe::process
