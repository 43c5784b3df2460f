// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace troupe::process {

/// What a process does that has said so.
enum class last_act {
  /// Ends with exit code 1.
  exit,
  /// What it would have done: mostly SIGABRT, with whatever hears of that.
  as_before,
};

/// From now on an exception that nobody catches, because the process may have no
/// more threads or no more memory, is said in a sentence on stderr: what ran out
/// and what to raise. Other exceptions end the process as before.
///
/// Threads are started in places that pass on no error (CAF's scheduler, a
/// `std::thread` anywhere), so this is where a limit of processes is met.
void say_what_ran_out(last_act then) noexcept;

} // namespace troupe::process
