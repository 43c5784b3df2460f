// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/transfer/slot_ring.hpp"

namespace troupe::comm::transfer {

void slot_ring::reset() {
  std::unique_lock lock{mutex_};
  produced_ = 0;
  consumed_ = 0;
}

template <class F>
result<void> slot_ring::wait(deadline until, F ready) {
  std::unique_lock lock{mutex_};
  changed_.wait_for(lock, until.left(), [&] { return stopped_ || ready(); });
  if (stopped_)
    return fail(errc::aborted, "the transfer was aborted");
  if (!ready())
    return fail(errc::timed_out, "the buckets before did not move on");
  return {};
}

result<void> slot_ring::await_slot(std::uint64_t step, deadline until) {
  return wait(until, [&] { return step < consumed_ + slots_; });
}

void slot_ring::produced() {
  std::unique_lock lock{mutex_};
  ++produced_;
  changed_.notify_all();
}

result<void> slot_ring::await_step(std::uint64_t step, deadline until) {
  return wait(until, [&] { return step < produced_; });
}

void slot_ring::consumed() {
  std::unique_lock lock{mutex_};
  ++consumed_;
  changed_.notify_all();
}

void slot_ring::stop() noexcept {
  std::unique_lock lock{mutex_};
  stopped_ = true;
  changed_.notify_all();
}

} // namespace troupe::comm::transfer
