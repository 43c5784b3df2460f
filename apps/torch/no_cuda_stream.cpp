// SPDX-License-Identifier: Apache-2.0
#include <stdexcept>

#include "troupe/apps/torch/cuda_stream.hpp"

namespace troupe::torch {

namespace {

[[noreturn]] void refuse() {
  throw std::runtime_error{
    "this build's libtorch models run on the CPU alone: for --devices cuda "
    "configure with TROUPE_WITH_CUDA=ON and a PyTorch built for CUDA in "
    "CMAKE_PREFIX_PATH"};
}

} // namespace

std::unique_ptr<device_stream> make_cuda_stream(std::int32_t) {
  refuse();
}

void synchronize_cuda(std::int32_t) {
  refuse();
}

} // namespace troupe::torch
