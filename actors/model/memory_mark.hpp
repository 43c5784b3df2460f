// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>

#include "troupe/actors/protocol/weights.hpp"

namespace troupe::model {

/// What a worker last saw of its device's memory. Written by the worker's
/// thread, read by the host's control actor: that one asks no device, which may
/// hang.
class memory_mark {
public:
  void set(const protocol::device_bytes& x) {
    std::lock_guard guard{mutex_};
    bytes_ = x;
  }

  [[nodiscard]] protocol::device_bytes read() const {
    std::lock_guard guard{mutex_};
    return bytes_;
  }

private:
  mutable std::mutex mutex_;
  protocol::device_bytes bytes_;
};

} // namespace troupe::model
