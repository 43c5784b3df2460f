// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/transfer/helper_thread.hpp"

#include <utility>

namespace troupe::comm::transfer {

helper_thread::helper_thread(std::function<void()> task)
  : task_(std::move(task)) {
  // nop
}

helper_thread::~helper_thread() {
  {
    std::unique_lock lock{mutex_};
    closing_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable())
    thread_.join();
}

void helper_thread::start() {
  std::unique_lock lock{mutex_};
  busy_ = true;
  if (!thread_.joinable())
    thread_ = std::thread{[this] { loop(); }};
  changed_.notify_all();
}

void helper_thread::finish() {
  std::unique_lock lock{mutex_};
  changed_.wait(lock, [this] { return !busy_; });
}

void helper_thread::loop() {
  std::unique_lock lock{mutex_};
  for (;;) {
    changed_.wait(lock, [this] { return busy_ || closing_; });
    if (!busy_)
      return;
    lock.unlock();
    task_();
    lock.lock();
    busy_ = false;
    changed_.notify_all();
  }
}

} // namespace troupe::comm::transfer
