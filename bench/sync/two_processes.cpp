// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/sync/two_processes.hpp"

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <utility>

#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace troupe::bench {

namespace {

constexpr std::size_t message_bytes_max = std::size_t{1} << 16;

result<std::array<int, 2>> make_line() {
  std::array<int, 2> fds{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()) != 0)
    return fail(errc::exhausted, "no socketpair");
  return fds;
}

} // namespace

result<two_processes>
two_processes::fork(const std::function<result<void>(two_processes&)>& source) {
  auto line = make_line();
  if (!line)
    return fail(line.error());
  std::fflush(nullptr);
  auto parent = ::getpid();
  auto pid = ::fork();
  if (pid < 0)
    return fail(errc::exhausted, "no second process");
  if (pid > 0) {
    ::close((*line)[1]);
    return two_processes{sync_end::destination, (*line)[0], pid};
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent)
    ::_exit(1);
  ::close((*line)[0]);
  two_processes self{sync_end::source, (*line)[1], -1};
  // An exception must not reach what our caller is doing in the first process.
  auto done = [&]() noexcept { return source(self); }();
  if (!done)
    fmt::print(stderr, "source: {}\n", to_string(done.error()));
  ::_exit(done ? 0 : 1);
}

result<std::pair<two_processes, two_processes>> two_processes::in_threads() {
  auto line = make_line();
  if (!line)
    return fail(line.error());
  return std::pair{two_processes{sync_end::source, (*line)[0], -1},
                   two_processes{sync_end::destination, (*line)[1], -1}};
}

two_processes::two_processes(two_processes&& other) noexcept
  : self_(other.self_),
    line_(std::exchange(other.line_, -1)),
    other_(std::exchange(other.other_, -1)) {
  // nop
}

two_processes::~two_processes() {
  // First: one that saw us go would only complain of it.
  if (other_ > 0) {
    ::kill(other_, SIGKILL);
    while (::waitpid(other_, nullptr, 0) < 0 && errno == EINTR)
      continue;
  }
  if (line_ >= 0)
    ::close(line_);
}

result<bytes> two_processes::exchange(const bytes& mine, deadline until) const {
  auto gone = [] { return fail(errc::lost, "the other process has ended"); };
  bytes framed{std::byte{1}};
  framed.insert(framed.end(), mine.begin(), mine.end());
  if (::send(line_, framed.data(), framed.size(), MSG_NOSIGNAL) < 0)
    return gone();
  pollfd watched{line_, POLLIN, 0};
  auto left = std::min<std::int64_t>(until.left_ms().count(), INT_MAX);
  if (::poll(&watched, 1, static_cast<int>(left)) <= 0)
    return fail(errc::timed_out, "the other process does not answer");
  bytes theirs(message_bytes_max);
  auto got = ::recv(line_, theirs.data(), theirs.size(), 0);
  if (got <= 0)
    return gone();
  return bytes(theirs.begin() + 1, theirs.begin() + got);
}

} // namespace troupe::bench
