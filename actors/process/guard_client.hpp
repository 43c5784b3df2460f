// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "troupe/actors/process/host_types.hpp"
#include "troupe/actors/process/process_tree.hpp"
#include "troupe/core/deadline.hpp"

namespace troupe::process {

class peer_mesh;

struct guard_settings {
  /// Names the job; the guard removes /dev/shm/troupe.JOB.* when it ends. See
  /// `is_job_id`.
  std::string job_id;

  static constexpr duration core_grace_max = std::chrono::seconds{10};

  /// A core is worth less than the name of who crashed: the others, who give up
  /// after `collective_timeout`, have not done so by then.
  [[nodiscard]] static constexpr duration
  core_grace_within(duration collective_timeout,
                    duration pulse_timeout) noexcept {
    return std::clamp(collective_timeout / 2 - pulse_timeout, duration::zero(),
                      core_grace_max);
  }

  /// What the guard executes for a host that names no program of its own.
  std::string executable = "/proc/self/exe";

  /// How long hosts have to end after SIGTERM before SIGKILL follows, when
  /// `close` is called. A node that disappears grants nothing.
  duration term_grace = std::chrono::milliseconds{500};

  /// How often hosts give a sign of life, and the silence after which one is
  /// killed as frozen: from its first sign on, and only while the guard itself
  /// is not held up. 0: nobody watches, so that a debugger may stop a host.
  duration pulse = duration::zero();
  duration pulse_timeout = duration::zero();

  /// How much longer a host that has crashed may be silent while its core is
  /// written.
  duration core_grace = core_grace_max;

  /// Says which hosts that is; a test hands in its own.
  bool (*dumps_core)(std::int32_t pid) noexcept = is_dumping_core;

  /// A node that has given the guard no sign of life for so long is taken for
  /// gone, and its hosts are ended. 0: it may be silent for ever. Needs `pulse`.
  duration node_grace = duration::zero();
};

/// The node's side of the guard: starts and kills device hosts and hears at
/// once when one ends.
///
/// However the process that holds this object ends, the guard kills every
/// process it started and all their descendants, removes the job's named
/// shared memory and goes too.
///
/// Threads: `start` before any thread of the process exists; `begin_job`
/// before `listen`, which starts one; `spawn` and `kill` from any thread; `close` once and not from a
/// callback.
class guard_client {
public:
  using exit_listener = std::function<void(const host_exit&)>;
  using lost_listener = std::function<void()>;

  /// Forks the guard. Fails with `errc::invalid` for a malformed job id and
  /// with `errc::exhausted` if the system has no process or descriptor left.
  /// Raises the process's soft limit on descriptors.
  [[nodiscard]] static result<std::unique_ptr<guard_client>>
  start(guard_settings config);

  guard_client(const guard_client&) = delete;

  guard_client& operator=(const guard_client&) = delete;

  /// `close` with a deadline of two seconds.
  ~guard_client();

  /// For a guard that was started before its job was known: from now on it
  /// serves `x.job_id` and watches as `x` says (the three times); the rest of `x`
  /// says nothing. Call before `listen`. Fails with `errc::invalid` for a
  /// malformed job id, `errc::unavailable` after `listen` or `close`, and
  /// `errc::lost`.
  [[nodiscard]] result<void> begin_job(const guard_settings& x);

  /// Starts the thread that reads what the guard reports. Call once, before
  /// the first `spawn`. `on_exit` is called for every host that ends, once,
  /// `on_guard_lost` if the guard itself dies (its hosts die with it), or has
  /// given no sign of life and was killed for that. Both run
  /// on that thread; `close` waits for one that runs and lets none follow. An
  /// exit may be heard before `spawn` returns. The sockets to
  /// the hosts go to `mesh`, which must outlive this object; without a mesh the
  /// node is no peer of its hosts.
  void listen(exit_listener on_exit, lost_listener on_guard_lost,
              peer_mesh* mesh = nullptr);

  /// Whether the guard has ended because this process was held up for longer
  /// than `guard_settings::node_grace`. Of use in `on_guard_lost`.
  [[nodiscard]] bool overslept() const noexcept;

  /// Starts a host and returns once its program runs. Fails with
  ///  - `errc::invalid`: no such program, bad slot, arguments over 128 KiB;
  ///  - `errc::unavailable`: the slot is taken;
  ///  - `errc::refused`: the log cannot be written or the program not executed;
  ///  - `errc::exhausted`: no process or descriptor left;
  ///  - `errc::lost`: the guard is gone;
  ///  - `errc::timed_out`: no answer; should the host start late, it is killed.
  [[nodiscard]] result<host_process> spawn(const host_command& command,
                                           deadline until);

  /// Sends a signal to the host in `slot`. Fails with `errc::lost` if there is
  /// none or the guard is gone.
  [[nodiscard]] result<void> kill(std::int32_t slot, int signal);

  /// Has the guard end every host (SIGTERM, after the grace SIGKILL), sweep
  /// and exit, and waits for it. Fails with `errc::timed_out` if it took
  /// longer; the guard is then killed, and with it every host.
  result<void> close(deadline until);

  /// The guard's process id.
  [[nodiscard]] std::int32_t pid() const noexcept;

private:
  struct impl;

  explicit guard_client(std::unique_ptr<impl> x);

  std::unique_ptr<impl> impl_;
};

} // namespace troupe::process
