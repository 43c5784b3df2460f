// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace troupe::comm::devices {

/// The variables of `environment` (as `environ`) that decide what CUDA, NCCL
/// and libtorch's allocator do, sorted, as `A=1 B='x y'`; empty if there are
/// none. For a log: two machines that behave differently differ here first.
[[nodiscard]] std::string device_environment(const char* const* environment);

} // namespace troupe::comm::devices
