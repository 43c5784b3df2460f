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

/// The model with `replicas` replicas of one rank, one a device.
[[nodiscard]] model::model_job stub_job(std::int32_t replicas);

/// A call with `rows` rows of 4 bytes, carried inside the message.
[[nodiscard]] result<protocol::invoke>
stub_call(process::batch_store& store, std::int64_t rows,
          std::chrono::milliseconds timeout);

} // namespace troupe::bench
