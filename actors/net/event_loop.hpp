// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "troupe/core/clock.hpp"
#include "troupe/core/error.hpp"

namespace troupe::net {

/// One thread that waits for descriptors, timers and tasks, and calls back.
/// Callbacks never wait and never throw: they share the thread.
///
/// Whoever registers something takes it back (on the loop's thread, `run`
/// brings one there) before the loop goes.
class event_loop {
public:
  /// Names a watched descriptor or a timer; 0 names none.
  using token = std::uint64_t;

  using task = std::function<void()>;

  /// Gets the events of epoll.
  using handler = std::function<void(std::uint32_t)>;

  enum class priority : std::uint8_t {
    normal,
    /// Above others where the system allows it: for whoever must not look
    /// frozen on a busy machine.
    high,
  };

  /// Fails with `errc::exhausted` without descriptors or threads.
  [[nodiscard]] static result<std::unique_ptr<event_loop>>
  start(priority level = priority::normal);

  event_loop(const event_loop&) = delete;

  event_loop& operator=(const event_loop&) = delete;

  /// Ends and joins the thread. Tasks that have not run are dropped.
  ~event_loop();

  // -- any thread -------------------------------------------------------------

  [[nodiscard]] bool on_thread() const noexcept;

  /// Runs `x` on the loop's thread, later.
  void post(task x);

  /// Runs `x` on the loop's thread and returns when it has run.
  void run(const task& x);

  // -- the loop's thread only -------------------------------------------------

  /// Calls `ready` whenever the descriptor has one of `events` (level
  /// triggered; errors and hang-ups always count). 0 if the system refuses.
  [[nodiscard]] token watch(int fd, std::uint32_t events, handler ready);

  void change(token x, std::uint32_t events);

  /// No call of the handler follows. Comes before the descriptor is closed. 0
  /// and what is forgotten already do no harm.
  void forget(token x);

  /// Calls `x` once, no earlier than after `wait`.
  [[nodiscard]] token after(duration wait, task x);

  /// As `forget`, for a timer.
  void cancel(token x);

private:
  struct impl;

  explicit event_loop(std::unique_ptr<impl> x);

  std::unique_ptr<impl> impl_;
};

} // namespace troupe::net
