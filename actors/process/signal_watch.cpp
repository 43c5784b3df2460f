// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/signal_watch.hpp"

#include <csignal>
#include <memory>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace troupe::process {

sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  // What is ignored would arrive all the same once it is blocked.
  struct sigaction hang_up {};
  if (::sigaction(SIGHUP, nullptr, &hang_up) == 0
      && hang_up.sa_handler != SIG_IGN)
    sigaddset(&set, SIGHUP);
  return set;
}

void hold_signals() {
  auto set = ending_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

result<std::unique_ptr<signal_watch>>
signal_watch::start(std::function<void(int)> on_signal) {
  auto set = ending_signals();
  unique_fd signals{::signalfd(-1, &set, SFD_CLOEXEC)};
  unique_fd stop{::eventfd(0, EFD_CLOEXEC)};
  if (!signals || !stop)
    return fail(errc::exhausted, "no descriptor left for signals");
  return std::unique_ptr<signal_watch>{new signal_watch{std::move(signals),
                                                        std::move(stop),
                                                        std::move(on_signal)}};
}

signal_watch::signal_watch(unique_fd signals, unique_fd stop,
                           std::function<void(int)> on_signal)
  : signals_(std::move(signals)),
    stop_(std::move(stop)),
    on_signal_(std::move(on_signal)),
    thread_([this] { run(); }) {
  // nop
}

signal_watch::~signal_watch() {
  std::uint64_t one = 1;
  static_cast<void>(::write(stop_.get(), &one, sizeof(one)) == sizeof(one));
  thread_.join();
}

void signal_watch::run() const {
  auto heard = false;
  auto count = 0;
  for (;;) {
    pollfd fds[] = {{signals_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0 && errno != EINTR)
      return;
    if (fds[1].revents != 0)
      return;
    signalfd_siginfo info;
    if (fds[0].revents == 0
        || ::read(signals_.get(), &info, sizeof(info)) != sizeof(info))
      continue;
    // That the terminal is gone may be told twice, before or after another
    // signal: nobody has lost patience.
    if (info.ssi_signo != SIGHUP)
      on_signal_(++count);
    else if (!heard)
      on_signal_(1);
    heard = true;
  }
}

} // namespace troupe::process
