// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"

namespace troupe::process {

/// What a sweeper removes, and from where.
struct sweeper_settings {
  /// A folder, open for reading. The sweeper keeps it open until it has ended,
  /// and with it the lock that may be on it. It is the folder and not its name
  /// that counts: another one that takes its name is not touched.
  int folder = -1;

  /// Relative to the folder: files, and folders with everything in them. The
  /// last part of each may be a pattern as fnmatch(3) knows them:
  /// `checkpoints/*.partial`. A link is removed, not what it points at.
  std::vector<std::filesystem::path> leftovers;

  /// A guard whose hosts write there too. If this process is gone, the guard is
  /// given `guard_max` to end them. 0: there is none.
  std::int32_t guard_pid = 0;

  /// For how long whom nobody waits for may go on writing there after this
  /// process is gone: so long the sweeper looks again and again.
  duration linger = duration::zero();
};

/// Removes files when this process is gone, however it ends: a process of its
/// own, without threads, that takes no part in SIGINT, SIGTERM and SIGHUP.
///
/// While this process lives nothing is removed, because its threads may be
/// writing there.
class sweeper {
public:
  static constexpr std::chrono::seconds guard_max{10};

  /// Forks. Call before any thread of the process exists. `folder` remains the
  /// caller's and has to stay open as long as this object is there. Fails with `errc::exhausted` if the system has no process or
  /// descriptor left.
  [[nodiscard]] static result<std::unique_ptr<sweeper>>
  start(const sweeper_settings& settings);

  sweeper(const sweeper&) = delete;
  sweeper& operator=(const sweeper&) = delete;

  /// `close`.
  ~sweeper();

  /// Says that nobody writes there any more: what is left is removed now, by the
  /// sweeper, or here if it was killed. Waits for its end, for two seconds at
  /// most; one that is held up longer goes on alone.
  void close() noexcept;

  /// Says that all is done but for threads of this process, which is about to
  /// end: what is left is removed then, without waiting for anybody else.
  void close_at_exit() noexcept;

  /// The sweeper's process id.
  [[nodiscard]] std::int32_t pid() const noexcept;

private:
  struct impl;

  explicit sweeper(std::unique_ptr<impl> x);

  std::unique_ptr<impl> impl_;
};

/// Removes `leftovers` from the folder, see `sweeper_settings`. What cannot be
/// removed stays, and is no reason to leave the rest. Ends when `until` passes,
/// but for what the system itself takes.
void sweep(int folder, const std::vector<std::filesystem::path>& leftovers,
           deadline until) noexcept;

} // namespace troupe::process
