// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/comm/cuda/runtime.hpp"
#include "troupe/comm/probe.hpp"

namespace troupe::comm::cuda {

// What factory.cpp needs of cuda_runtime.cpp. In builds with CUDA alone.

[[nodiscard]] probe_result probe_cuda();

[[nodiscard]] runtime_ptr make_cuda_runtime();

} // namespace troupe::comm::cuda
