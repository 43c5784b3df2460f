// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"

namespace troupe::comm::transfer {

/// Two threads that hand steps on in order, through a bounded number of slots:
/// step i uses slot i modulo their number. The one produces while the other
/// consumes what was produced before.
class slot_ring {
public:
  explicit slot_ring(std::uint64_t slots) noexcept : slots_(slots) {
    // nop
  }

  [[nodiscard]] std::uint64_t slots() const noexcept { return slots_; }

  /// Begins at step 0 again. Only while nobody waits.
  void reset();

  /// Producer: waits until `step` has a slot.
  [[nodiscard]] result<void> await_slot(std::uint64_t step, deadline until);

  /// Producer: the next step is ready.
  void produced();

  /// Consumer: waits until `step` is ready.
  [[nodiscard]] result<void> await_step(std::uint64_t step, deadline until);

  /// Consumer: the next step's slot is free.
  void consumed();

  /// Ends all waits for good. From any thread.
  void stop() noexcept;

private:
  template <class F>
  result<void> wait(deadline until, F ready);

  const std::uint64_t slots_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t produced_ = 0;
  std::uint64_t consumed_ = 0;
  bool stopped_ = false;
};

} // namespace troupe::comm::transfer
