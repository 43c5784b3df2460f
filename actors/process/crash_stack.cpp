// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/crash_stack.hpp"

#include <array>
#include <csignal>
#include <cstring>

#include <execinfo.h>
#include <unistd.h>

namespace troupe::process {

namespace {

constexpr std::array signals{SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
constexpr int frames_max = 64;

/// Where the program lies: frames have the name that it was given.
std::array<char, 4096> program{};

/// A stack that cannot be walked must not keep the process.
constexpr unsigned patience_s = 5;

void say(const char* text) noexcept {
  // Nobody is left to tell if it fails.
  if (::write(STDERR_FILENO, text, std::strlen(text)) < 0)
    return;
}

/// Only what may be called from a handler; `backtrace` has been called once.
void on_crash(int signal) noexcept {
  ::alarm(patience_s);
  const auto* name = ::sigabbrev_np(signal);
  say("crashed by SIG");
  say(name != nullptr ? name : "?");
  say(" in ");
  say(program.data());
  say(", the stack of the thread:\n");
  std::array<void*, frames_max> frames{};
  auto count = ::backtrace(frames.data(), frames_max);
  ::backtrace_symbols_fd(frames.data(), count, STDERR_FILENO);
  // What is done with it is the default again.
  ::raise(signal);
}

} // namespace

void write_stack_on_crash() noexcept {
  // The first call loads a library.
  std::array<void*, 1> here{};
  static_cast<void>(::backtrace(here.data(), 1));
  // Without the end, which stays 0.
  if (::readlink("/proc/self/exe", program.data(), program.size() - 1) <= 0)
    program[0] = '?';
  struct sigaction ours {};
  ours.sa_handler = on_crash;
  ours.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
  for (auto signal : signals) {
    struct sigaction before {};
    if (::sigaction(signal, nullptr, &before) == 0
        && before.sa_handler == SIG_DFL)
      ::sigaction(signal, &ours, nullptr);
  }
}

} // namespace troupe::process
