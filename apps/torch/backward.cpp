// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/backward.hpp"

#include <ATen/core/Tensor.h>
#include <c10/core/AutogradState.h>

namespace troupe::torch {

void backward(const at::Tensor& loss) {
  single_threaded_autograd<c10::AutogradState> here;
  loss.backward();
}

} // namespace troupe::torch
