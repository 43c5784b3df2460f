// SPDX-License-Identifier: Apache-2.0
#pragma once

/// libtorch's headers cost seconds a file, so ours only name its tensor class.
/// A file that makes or reads tensors includes <ATen/core/Tensor.h> itself.
namespace at {

class Tensor;

} // namespace at
