// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "troupe/core/deadline.hpp"

namespace troupe::comm {

/// Something that may hang, done by a thread of its own and waited for with a
/// bound. What does not come back in time is left behind with all that it
/// holds: `work` must own whatever it touches, because it may outlive everybody
/// else. A line in the log names it, and another one should it come back.
///
/// A process that has left something behind should end without static
/// destructors, which that thread may meet: its guard sees to the rest.
///
/// Threads: one owner; `work` runs in its own.
class bounded_task {
public:
  /// Begins. `name` is for the log: `the end of NCCL's communicator of rank 0`.
  /// If the system has no thread to give, the work is done here and now: rather
  /// late than never.
  bounded_task(std::string name, std::function<void()> work);

  bounded_task(bounded_task&&) noexcept = default;

  bounded_task& operator=(bounded_task&&) = delete;

  /// Leaves behind what is not done.
  ~bounded_task();

  /// True once the work is done and its closure gone; false if `until` passes.
  bool wait(deadline until);

private:
  struct shared;

  std::shared_ptr<shared> shared_;
  std::thread thread_;
};

} // namespace troupe::comm
