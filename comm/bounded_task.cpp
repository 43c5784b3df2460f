// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/bounded_task.hpp"

#include <condition_variable>
#include <mutex>
#include <system_error>
#include <utility>

#include "troupe/core/log.hpp"

namespace troupe::comm {

struct bounded_task::shared {
  std::string name;
  std::function<void()> work;
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  bool left = false;
};

bounded_task::bounded_task(std::string name, std::function<void()> work)
  : shared_(std::make_shared<shared>()) {
  shared_->name = std::move(name);
  shared_->work = std::move(work);
  auto run = [all = shared_] {
    all->work();
    // What it held goes before anybody hears that it is done.
    all->work = nullptr;
    std::unique_lock lock{all->mutex};
    all->done = true;
    if (all->left)
      log::warning("comm", "{} came back late; what it held is released",
                   all->name);
    all->changed.notify_all();
  };
  try {
    thread_ = std::thread{run};
  } catch (const std::system_error& e) {
    log::error("comm", "no thread for {}: {}; it is done without a bound",
               shared_->name, e.what());
    run();
  }
}

bounded_task::~bounded_task() {
  // Moved from, or never begun.
  if (!shared_ || !thread_.joinable())
    return;
  {
    std::unique_lock lock{shared_->mutex};
    if (!shared_->done) {
      shared_->left = true;
      log::error("comm",
                 "{} does not come back: it is left behind with its memory; "
                 "restart the process if that is needed",
                 shared_->name);
      thread_.detach();
      return;
    }
  }
  thread_.join();
}

bool bounded_task::wait(deadline until) {
  std::unique_lock lock{shared_->mutex};
  return shared_->changed.wait_for(lock, until.left(),
                                   [&] { return shared_->done; });
}

} // namespace troupe::comm
