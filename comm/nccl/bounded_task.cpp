// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/nccl/bounded_task.hpp"

#include <condition_variable>
#include <mutex>
#include <system_error>
#include <utility>

#include "troupe/core/log.hpp"

namespace troupe::comm::nccl {

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
  try {
    thread_ = std::thread{[all = shared_] {
      all->work();
      // What it held goes before anybody hears that it is done.
      all->work = nullptr;
      std::unique_lock lock{all->mutex};
      all->done = true;
      if (all->left)
        log::warning("nccl", "{} came back late; what it held is released",
                     all->name);
      all->changed.notify_all();
    }};
  } catch (const std::system_error& e) {
    log::error("nccl",
               "no thread for {}: {}; it keeps its memory until the "
               "process ends",
               shared_->name, e.what());
    // Never released, as if it hung.
    [[maybe_unused]] auto* kept = new std::shared_ptr<shared>{shared_};
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
      log::error("nccl",
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

} // namespace troupe::comm::nccl
