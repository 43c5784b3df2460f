// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "troupe/core/dtype.hpp"

namespace troupe::dlpack {

/// The memory layout of a tensor as the DLPack specification v0.6 fixes it, in
/// our own spelling: a `managed_tensor*` may be handed to any library that
/// takes a `DLManagedTensor*`. apps/torch asserts at compile time that sizes
/// and offsets equal those of libtorch's own header.
/// Source: https://dmlc.github.io/dlpack/latest/c_api.html

enum class device_type : std::int32_t { cpu = 1, cuda = 2, cuda_host = 3 };

struct device {
  device_type type = device_type::cpu;
  std::int32_t id = 0;
};

/// Kind codes: 0 signed, 1 unsigned, 2 float, 4 bfloat, 6 bool.
struct data_type {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};

struct tensor {
  void* data;
  dlpack::device device;
  std::int32_t ndim;
  data_type dtype;
  std::int64_t* shape;
  std::int64_t* strides;
  std::uint64_t byte_offset;
};

struct managed_tensor {
  tensor dl_tensor;
  void* manager_ctx;
  void (*deleter)(managed_tensor* self);
};

[[nodiscard]] data_type from_dtype(troupe::dtype x) noexcept;

/// False if `x` has no counterpart among our dtypes.
[[nodiscard]] bool to_dtype(data_type x, troupe::dtype& out) noexcept;

} // namespace troupe::dlpack
