// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/comm/cuda/runtime.hpp"
#include "troupe/comm/probe.hpp"
#include "troupe/core/error.hpp"

namespace troupe::comm::cuda {

/// Usable if this build has the CUDA backend, the driver is new enough for it
/// and there is a device; otherwise says which of them is missing and what to
/// do. Makes no context on a device.
[[nodiscard]] probe_result probe();

/// The CUDA runtime. Fails with `errc::unavailable` where `probe` says no.
[[nodiscard]] result<runtime_ptr> make_runtime();

} // namespace troupe::comm::cuda
