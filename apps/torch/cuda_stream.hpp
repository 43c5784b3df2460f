// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "troupe/apps/torch/device_stream.hpp"

namespace troupe::torch {

/// What device_stream.cpp needs of CUDA: from cuda_stream.cpp in builds with
/// CUDA and a libtorch for it, else from no_cuda_stream.cpp, where both throw.

[[nodiscard]] std::unique_ptr<device_stream>
make_cuda_stream(std::int32_t device);

void synchronize_cuda(std::int32_t device);

} // namespace troupe::torch
