// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace troupe::comm::transfer {

/// A thread that does one task each time it is told. Started by the first
/// `start`, joined by the destructor.
class helper_thread {
public:
  /// `task` must not throw.
  explicit helper_thread(std::function<void()> task);

  /// Waits for a task under way.
  ~helper_thread();

  helper_thread(const helper_thread&) = delete;
  helper_thread& operator=(const helper_thread&) = delete;

  /// Does the task once more. Not while it is under way.
  void start();

  /// Waits until the task is done; at once if it is.
  void finish();

private:
  void loop();

  std::function<void()> task_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool busy_ = false;
  bool closing_ = false;
  std::thread thread_;
};

} // namespace troupe::comm::transfer
