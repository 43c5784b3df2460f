// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace troupe::process {

/// From now on a thread that crashes (SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT)
/// writes the signal's name, the program's file and its stack to stderr, one
/// frame a line, and the process ends by that signal as it would have. Frames are
/// `FILE(FUNCTION+X)` or `FILE(+X)`: `addr2line -Cfe FILE X` turns them into
/// lines of code; for those of a host, FILE is the program's. Signals that
/// somebody handles already, a sanitizer for example, are left alone.
///
/// A thread whose stack has overflowed ends without a word, and one whose stack
/// cannot be walked within five seconds by SIGALRM.
void write_stack_on_crash() noexcept;

} // namespace troupe::process
