// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/comm/cuda/copy_launch.hpp"

namespace troupe::comm::cuda {

/// Loads the kernel onto the current device, where it does not stand yet. Gives
/// a `cudaError_t`.
int load_copy_kernels() noexcept;

/// Enqueues the kernel that copies, converts and digests on `stream`, a
/// `cudaStream_t` of the current device. Gives a `cudaError_t`. Exists in builds
/// with CUDA alone (copy_kernels.cu).
int launch_copy_kernel(const copy_launch& what, void* stream) noexcept;

} // namespace troupe::comm::cuda
