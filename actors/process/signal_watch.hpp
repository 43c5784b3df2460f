// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <csignal>
#include <functional>
#include <thread>

#include "troupe/actors/process/unique_fd.hpp"
#include "troupe/core/error.hpp"

namespace troupe::process {

/// Those that ask a program to end: SIGINT, SIGTERM and, unless whoever started
/// us has it ignored (nohup), SIGHUP, which says that the terminal is gone.
[[nodiscard]] sigset_t ending_signals();

/// Blocks `ending_signals` in the calling thread and those it starts later: call
/// before there are any, and only if a `signal_watch` follows. SIGPIPE is
/// ignored.
void hold_signals();

/// A thread that hears `ending_signals` while it lives: `on_signal` gets 1 for
/// the first, 2 for the second, and so on. SIGHUP does not count: it is 1 if
/// nothing came before it, and else not told.
class signal_watch {
public:
  [[nodiscard]] static result<std::unique_ptr<signal_watch>>
  start(std::function<void(int)> on_signal);

  ~signal_watch();
  signal_watch(const signal_watch&) = delete;
  signal_watch& operator=(const signal_watch&) = delete;

private:
  signal_watch(unique_fd signals, unique_fd stop,
               std::function<void(int)> on_signal);

  void run() const;

  unique_fd signals_;
  unique_fd stop_;
  std::function<void(int)> on_signal_;
  std::thread thread_;
};

} // namespace troupe::process
