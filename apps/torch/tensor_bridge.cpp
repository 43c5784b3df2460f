// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/tensor_bridge.hpp"

#include <cstddef>
#include <exception>
#include <stdexcept>

#include <ATen/DLConvertor.h>
#include <ATen/core/Tensor.h>
#include <ATen/dlpack.h>
#include <fmt/format.h>

#include "troupe/apps/torch/device.hpp"
#include "troupe/core/exception.hpp"

namespace troupe::torch {

namespace {

// Our spelling of DLPack and libtorch's must describe the same bytes.
using ours = dlpack::managed_tensor;
using theirs = DLManagedTensor;
static_assert(sizeof(ours) == sizeof(theirs)
              && alignof(ours) == alignof(theirs));
static_assert(offsetof(ours, manager_ctx) == offsetof(theirs, manager_ctx)
              && offsetof(ours, deleter) == offsetof(theirs, deleter));
static_assert(sizeof(dlpack::tensor) == sizeof(DLTensor)
              && sizeof(dlpack::device) == sizeof(DLDevice)
              && sizeof(dlpack::data_type) == sizeof(DLDataType));
static_assert(offsetof(dlpack::tensor, device) == offsetof(DLTensor, device)
              && offsetof(dlpack::tensor, ndim) == offsetof(DLTensor, ndim)
              && offsetof(dlpack::tensor, dtype) == offsetof(DLTensor, dtype)
              && offsetof(dlpack::tensor, shape) == offsetof(DLTensor, shape)
              && offsetof(dlpack::tensor, strides)
                   == offsetof(DLTensor, strides)
              && offsetof(dlpack::tensor, byte_offset)
                   == offsetof(DLTensor, byte_offset));
static_assert(static_cast<int>(dlpack::device_type::cpu) == kDLCPU
              && static_cast<int>(dlpack::device_type::cuda) == kDLCUDA
              && static_cast<int>(dlpack::device_type::cuda_host)
                   == kDLCUDAHost);

/// libtorch 1.13 has no DLPack code for booleans: they cross as bytes.
tensor retyped(const tensor& x, dtype type) {
  return tensor::from_buffer(type, x.extents(), x.storage()).value();
}

at::Tensor import(const tensor& x) {
  // Of memory without a byte libtorch 1.13 never calls the deleter.
  if (x.size() == 0)
    return at::empty(x.extents(), import(tensor{x.type(), {1}}).options());
  auto* managed = x.to_dlpack();
  try {
    // Newer versions take it without const.
    return at::fromDLPack(reinterpret_cast<theirs*>(managed));
  } catch (const std::exception& e) {
    managed->deleter(managed);
    throw std::runtime_error{
      fmt::format("libtorch does not take {}: {}", to_string(x), e.what())};
  }
}

} // namespace

at::Tensor to_torch(const tensor& x) {
  if (x.type() == dtype::boolean)
    return import(retyped(x, dtype::uint8)).view(at::kBool);
  return import(x);
}

at::Tensor to_torch(const tensor& x, dlpack::device where) {
  return to_torch(x).to(torch_device(where));
}

result<tensor> from_torch(const at::Tensor& x) {
  if (!x.defined())
    return fail(errc::invalid, "the torch tensor is undefined");
  if (!x.is_contiguous())
    return fail(errc::invalid, "the torch tensor is not dense row-major: call "
                               "contiguous() on it first");
  try {
    if (x.scalar_type() == at::kBool) {
      auto flat = from_torch(x.detach().view(at::kByte));
      if (!flat)
        return flat;
      return retyped(*flat, dtype::boolean);
    }
    auto* managed = at::toDLPack(x.detach());
    return tensor::from_dlpack(reinterpret_cast<ours*>(managed));
  } catch (const std::exception& e) {
    return fail(errc::invalid,
                fmt::format("libtorch does not hand out this tensor: {}",
                            e.what()));
  }
}

tensor to_host(const at::Tensor& x) {
  auto made = from_torch(x.detach().to(at::kCPU).contiguous());
  if (!made)
    throw exception{made.error()};
  return *made;
}

} // namespace troupe::torch
