// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/apps/torch/fwd.hpp"
#include "troupe/core/dlpack.hpp"
#include "troupe/core/error.hpp"
#include "troupe/core/tensor.hpp"

namespace troupe::torch {

/// The same elements as a torch tensor, without a copy: the torch tensor keeps
/// the bytes alive and writes through either are seen by both. Every dtype of
/// ours has its torch counterpart. Memory on a CUDA device needs a libtorch
/// built with CUDA. Throws std::runtime_error if libtorch refuses.
[[nodiscard]] at::Tensor to_torch(const tensor& x);

/// The same on device `where`: a copy unless `x` lies there already.
[[nodiscard]] at::Tensor to_torch(const tensor& x, dlpack::device where);

/// The same elements as one of our tensors, without a copy; gradients are left
/// behind. A CUDA tensor stays where it is (its `storage().device()` says so,
/// and `values()` must not be called on it). Fails with `errc::invalid` for a
/// tensor that is not dense row-major (the caller decides about the copy that
/// `contiguous()` makes), or whose dtype we do not know.
[[nodiscard]] result<tensor> from_torch(const at::Tensor& x);

/// The elements in this process's memory, dense: what a module puts into a
/// batch. A copy unless they lie so already. Throws std::runtime_error for a
/// dtype that we do not know.
[[nodiscard]] tensor to_host(const at::Tensor& x);

} // namespace troupe::torch
