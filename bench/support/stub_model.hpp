// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

#include "troupe/actors/model/model_job.hpp"
#include "troupe/actors/model/registry.hpp"
#include "troupe/actors/protocol/model.hpp"

namespace troupe::bench {

/// The model whose workers do nothing: "echo" returns its input.
inline constexpr const char* stub_name = "stub";

/// The declarations that driver and hosts of a benchmark share.
[[nodiscard]] const module_registry& stub_registry();

/// Which workers the model has: one replica a process, on a device of its own,
/// with `workers_each` data-parallel ranks.
struct worker_shape {
  std::int32_t processes = 1;
  std::int32_t workers_each = 1;

  [[nodiscard]] std::int32_t workers() const noexcept {
    return processes * workers_each;
  }
};

[[nodiscard]] model::model_job stub_job(worker_shape shape);

/// A call with `rows` rows of 4 bytes, carried inside the message.
[[nodiscard]] result<protocol::invoke>
stub_call(process::batch_store& store, std::int64_t rows,
          std::chrono::milliseconds timeout);

} // namespace troupe::bench
