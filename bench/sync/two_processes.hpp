// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <utility>

#include <sys/types.h>

#include "troupe/core/codec.hpp"
#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"

namespace troupe::bench {

enum class sync_end : std::uint8_t { source, destination };

/// This process and one forked from it: the two ends of a sync. Fork before
/// the first thread.
class two_processes {
public:
  /// Runs `source` in a new process, which ends with it, and with us.
  static result<two_processes>
  fork(const std::function<result<void>(two_processes&)>& source);

  /// The source and the destination, both in this process: for two threads,
  /// where it is the rounds themselves that are tried.
  static result<std::pair<two_processes, two_processes>> in_threads();

  two_processes(two_processes&& other) noexcept;
  two_processes& operator=(two_processes&&) = delete;

  /// Kills and reaps the other process, if this is the first.
  ~two_processes();

  [[nodiscard]] sync_end self() const noexcept { return self_; }

  /// Gives `mine` to the other end and gets its message: both meet here. Fails
  /// with `errc::lost` if the other has ended.
  [[nodiscard]] result<bytes> exchange(const bytes& mine, deadline until) const;

private:
  two_processes(sync_end self, int line, pid_t other) noexcept
    : self_(self),
      line_(line),
      other_(other) {
    // nop
  }

  sync_end self_;
  int line_;
  pid_t other_;
};

} // namespace troupe::bench
