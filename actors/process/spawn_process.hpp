// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/actors/process/host_types.hpp"
#include "troupe/actors/process/unique_fd.hpp"

namespace troupe::process {

/// The variables by which a host knows that the guard started it.
inline constexpr const char* guard_fd_variable = "TROUPE_GUARD_FD";
inline constexpr const char* job_variable = "TROUPE_JOB_ID";
inline constexpr const char* slot_variable = "TROUPE_SLOT";
inline constexpr const char* incarnation_variable = "TROUPE_INCARNATION";
/// Milliseconds between signs of life; not there if nobody watches.
inline constexpr const char* pulse_variable = "TROUPE_PULSE_MS";

/// Forks and executes a host; returns its process id once its program runs.
///
/// The host leads a session of its own, is killed by the kernel when the
/// calling thread's process ends, reads /dev/null, appends what it writes to
/// its log, has default signal handlers and no descriptor but `control` and
/// those three. For a single-threaded process. Errors as in
/// `guard_client::spawn`.
[[nodiscard]] result<std::int32_t> spawn_process(const host_command& command,
                                                 const std::string& executable,
                                                 const std::string& job_id,
                                                 const unique_fd& control);

/// Puts every signal's handler back to its default.
void default_signals() noexcept;

enum class signal_set { none, all };

/// Sets the calling thread's mask; faults are never blocked.
void block_signals(signal_set which) noexcept;

/// fork(2) with every signal blocked in the child, so that a Ctrl-C in its first
/// moments does not reach it. 0 in the child; `errc::exhausted` says that there is
/// no process for `what`.
[[nodiscard]] result<std::int32_t> fork_unheard(std::string_view what);

/// Opens /dev/null for each of stdin, stdout and stderr that whoever started
/// the program has closed: else a file or socket of ours would get that number,
/// and what is printed, or `detach_standard_streams`, would spoil it. First
/// thing in main.
void open_standard_streams() noexcept;

/// stdin from /dev/null; stdout and stderr too.
void detach_standard_streams() noexcept;

/// For a process just forked: closes every descriptor but copies of these, which
/// are given back in order, and detaches the standard streams, so that no pipe or
/// terminal of the parent's waits for it. Fewer come back if there were too few
/// descriptors.
[[nodiscard]] std::vector<unique_fd> keep_only(const std::vector<int>& files);

} // namespace troupe::process
