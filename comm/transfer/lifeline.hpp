// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <vector>

#include "troupe/comm/link.hpp"
#include "troupe/comm/transfer/slot_ring.hpp"

namespace troupe::comm::transfer {

/// The first error of an executor, which ends everything of it: one channel
/// that fails leaves nobody waiting at another.
///
/// Fill before the first thread; then `raise` comes from any thread.
class lifeline {
public:
  void watch(link_ptr x) { links_.push_back(std::move(x)); }

  /// The ring must outlive this.
  void watch(slot_ring& x) { rings_.push_back(&x); }

  /// Kills all links and rings. The error that everything died of, which is
  /// `what` if nothing had failed before.
  error raise(error what);

  [[nodiscard]] bool dead() const noexcept { return dead_; }

  /// The error it died of.
  [[nodiscard]] std::optional<error> cause();

private:
  std::vector<link_ptr> links_;
  std::vector<slot_ring*> rings_;
  std::atomic<bool> dead_{false};
  std::mutex mutex_;
  std::optional<error> cause_;
};

} // namespace troupe::comm::transfer
