// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>
#include <string>

#include "troupe/core/clock.hpp"

namespace troupe::model {

/// What a worker does right now, for hang reports. Written by the worker's
/// thread, read by the host's control actor.
class operation_mark {
public:
  struct snapshot {
    std::string operation;
    duration age{};
  };

  explicit operation_mark(const clock& time = steady_clock()) : time_(time) {
    set("starting");
  }

  void set(std::string operation) {
    std::lock_guard guard{mutex_};
    operation_ = std::move(operation);
    since_ = time_.now();
  }

  [[nodiscard]] snapshot read() const {
    std::lock_guard guard{mutex_};
    return {operation_, time_.now() - since_};
  }

private:
  const clock& time_;
  mutable std::mutex mutex_;
  std::string operation_;
  time_point since_{};
};

/// Marks an operation for the length of a block, then "idle".
class operation_scope {
public:
  operation_scope(operation_mark& mark, std::string operation) : mark_(mark) {
    mark_.set(std::move(operation));
  }

  ~operation_scope() { mark_.set("idle"); }

  operation_scope(const operation_scope&) = delete;
  operation_scope& operator=(const operation_scope&) = delete;

private:
  operation_mark& mark_;
};

} // namespace troupe::model
