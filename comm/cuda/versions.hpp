// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "troupe/comm/probe.hpp"

namespace troupe::comm::cuda {

/// A version number of CUDA (13020: 13.2) as people write it.
[[nodiscard]] std::string version_text(int number);

/// Whether a driver that knows CUDA up to `driver` (0: there is none) serves a
/// program built with `runtime`. Within a major version CUDA promises that it
/// does.
[[nodiscard]] probe_result judge_versions(int runtime, int driver);

/// Why the driver may show no device, for people. `visible_devices` is what
/// CUDA_VISIBLE_DEVICES says, null if it is not set.
[[nodiscard]] std::string explain_no_device(const char* visible_devices);

} // namespace troupe::comm::cuda
