// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/device.hpp"

#include <stdexcept>

#include <fmt/format.h>

namespace troupe::torch {

c10::Device torch_device(dlpack::device x) {
  if (x.type == dlpack::device_type::cuda)
    return {c10::kCUDA, static_cast<c10::DeviceIndex>(x.id)};
  return {c10::kCPU};
}

c10::ScalarType scalar_type(dtype x) {
  switch (x) {
    case dtype::float32: return c10::ScalarType::Float;
    case dtype::bfloat16: return c10::ScalarType::BFloat16;
    default:
      throw std::invalid_argument{
        fmt::format("a model cannot compute in {}", to_string(x))};
  }
}

std::string name_of(dlpack::device x) {
  return x.type == dlpack::device_type::cuda ? fmt::format("cuda:{}", x.id)
                                             : "cpu";
}

} // namespace troupe::torch
