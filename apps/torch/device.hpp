// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include "troupe/core/dlpack.hpp"
#include "troupe/core/dtype.hpp"

namespace troupe::torch {

/// libtorch's names for what we name otherwise. For .cpp files: this is the one
/// header here that needs libtorch's.

/// The CPU, or a CUDA device; host memory of any kind counts as the CPU.
[[nodiscard]] c10::Device torch_device(dlpack::device x);

/// Throws std::invalid_argument but for float32 and bfloat16: what a model
/// computes with.
[[nodiscard]] c10::ScalarType scalar_type(dtype x);

/// `cpu`, `cuda:1`.
[[nodiscard]] std::string name_of(dlpack::device x);

} // namespace troupe::torch
