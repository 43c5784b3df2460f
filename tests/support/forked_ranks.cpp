// SPDX-License-Identifier: Apache-2.0
#include "support/forked_ranks.hpp"

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <utility>

#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace troupe::test {

namespace {

/// Of a message in tests.
constexpr std::size_t message_bytes_max = std::size_t{1} << 16;

bool readable(int fd, deadline until) {
  pollfd watched{fd, POLLIN, 0};
  for (;;) {
    auto left = std::min<std::int64_t>(until.left_ms().count(), INT_MAX);
    auto rc = ::poll(&watched, 1, static_cast<int>(left));
    if (rc > 0)
      return true;
    if (rc == 0 || errno != EINTR)
      return false;
  }
}

} // namespace

// -- pipe_end -----------------------------------------------------------------

pipe_end::pipe_end(pipe_end&& other) noexcept
  : fd_(std::exchange(other.fd_, -1)) {
  // nop
}

pipe_end::~pipe_end() {
  if (fd_ >= 0)
    ::close(fd_);
}

bool pipe_end::say(const bytes& message) const {
  return ::send(fd_, message.data(), message.size(), MSG_NOSIGNAL)
         == static_cast<ssize_t>(message.size());
}

std::optional<bytes> pipe_end::hear(deadline until) const {
  if (!readable(fd_, until))
    return std::nullopt;
  bytes message(message_bytes_max);
  auto got = ::recv(fd_, message.data(), message.size(), 0);
  if (got <= 0)
    return std::nullopt;
  message.resize(static_cast<std::size_t>(got));
  return message;
}

// -- forked_ranks -------------------------------------------------------------

forked_ranks::forked_ranks(std::size_t ranks, const body& run) {
  auto parent = ::getpid();
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    std::array<int, 2> fds{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data())
        != 0)
      throw std::runtime_error{"socketpair failed"};
    pipe_end ours{fds[0]};
    pipe_end theirs{fds[1]};
    std::fflush(nullptr);
    auto pid = ::fork();
    if (pid < 0)
      throw std::runtime_error{"fork failed"};
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      // The parent may have died before the line above.
      if (::getppid() != parent)
        ::_exit(98);
      // Boost's handlers would report the child's end as the parent's.
      for (auto number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM})
        ::signal(number, SIG_DFL);
      pipes_.clear();
      { auto dropped = std::move(ours); }
      auto status = 99;
      try {
        status = run(rank, theirs);
      } catch (const std::exception& e) {
        std::fprintf(stderr, "rank %zu: %s\n", rank, e.what());
      }
      // No destructors of the test's own objects: they are the parent's.
      ::_exit(status);
    }
    pids_.push_back(pid);
    pipes_.push_back(std::move(ours));
  }
}

forked_ranks::~forked_ranks() {
  for (auto pid : pids_)
    if (pid > 0)
      ::kill(pid, SIGKILL);
  for (auto pid : pids_)
    if (pid > 0)
      while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR)
        continue;
}

void forked_ranks::signal(std::size_t rank, int number) const {
  if (pids_[rank] > 0)
    ::kill(pids_[rank], number);
}

std::optional<int> forked_ranks::wait(std::size_t rank, deadline until) {
  auto& pid = pids_[rank];
  if (pid <= 0)
    return std::nullopt;
  auto fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  auto ended = fd >= 0 && readable(fd, until);
  if (fd >= 0)
    ::close(fd);
  int status = 0;
  if (!ended || ::waitpid(pid, &status, 0) != pid)
    return std::nullopt;
  pid = -1;
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

// -- rendezvous ---------------------------------------------------------------

bool exchange(forked_ranks& ranks, std::size_t count, deadline until) {
  bytes all;
  encoder to{all};
  for (std::size_t rank = 0; rank < count; ++rank) {
    auto one = ranks.to(rank).hear(until);
    if (!one)
      return false;
    to.put(static_cast<std::uint32_t>(one->size()));
    to.append(one->data(), one->size());
  }
  for (std::size_t rank = 0; rank < count; ++rank)
    if (!ranks.to(rank).say(all))
      return false;
  return true;
}

std::vector<bytes> exchange(pipe_end& parent, const bytes& mine,
                            deadline until) {
  if (!parent.say(mine))
    return {};
  auto all = parent.hear(until);
  if (!all)
    return {};
  std::vector<bytes> out;
  decoder from{*all};
  while (from.left() > 0) {
    std::uint32_t size = 0;
    std::span<const std::byte> one;
    if (!from.get(size) || !from.view(size, one))
      return {};
    out.emplace_back(one.begin(), one.end());
  }
  return out;
}

} // namespace troupe::test
