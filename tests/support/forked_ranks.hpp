// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include <sys/types.h>

#include "troupe/core/codec.hpp"
#include "troupe/core/deadline.hpp"

namespace troupe::test {

/// One end of a socketpair between a test and one of its processes. Messages
/// are whole or not at all.
class pipe_end {
public:
  explicit pipe_end(int fd) noexcept : fd_(fd) {
    // nop
  }

  pipe_end(pipe_end&& other) noexcept;
  pipe_end& operator=(pipe_end&&) = delete;
  ~pipe_end();

  /// False if the other end is gone.
  bool say(const bytes& message) const;

  /// Nothing if the other end is gone or `until` passed.
  [[nodiscard]] std::optional<bytes> hear(deadline until) const;

  [[nodiscard]] int fd() const noexcept { return fd_; }

private:
  int fd_;
};

/// Ranks as processes, forked from the test. Fork before the test has threads:
/// a child has only the one that forked.
///
/// No child survives: the destructor kills and reaps all of them, and the
/// kernel kills them when the test process dies.
class forked_ranks {
public:
  /// Runs `body(rank, parent)` in a new process for every rank. What it returns
  /// is the exit status; an exception is status 99.
  using body = std::function<int(std::size_t rank, pipe_end& parent)>;

  forked_ranks(std::size_t ranks, const body& run);

  ~forked_ranks();

  forked_ranks(const forked_ranks&) = delete;
  forked_ranks& operator=(const forked_ranks&) = delete;

  [[nodiscard]] pipe_end& to(std::size_t rank) { return pipes_[rank]; }

  /// Sends a signal, e.g. SIGKILL or SIGSTOP.
  void signal(std::size_t rank, int number) const;

  /// The exit status, minus the signal's number for one that was killed, or
  /// nothing if it still runs when `until` passes.
  [[nodiscard]] std::optional<int> wait(std::size_t rank, deadline until);

private:
  std::vector<pid_t> pids_;
  std::vector<pipe_end> pipes_;
};

/// Parent's side of a rendezvous: collects one message from every rank and
/// gives all of them to each. False if a rank did not speak in time.
bool exchange(forked_ranks& ranks, std::size_t count, deadline until);

/// A rank's side: says `mine` and hears everybody's, in rank order; empty on
/// failure.
std::vector<bytes> exchange(pipe_end& parent, const bytes& mine,
                            deadline until);

} // namespace troupe::test
