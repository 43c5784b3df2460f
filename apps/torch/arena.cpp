// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/arena.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include "troupe/apps/torch/tensor_bridge.hpp"
#include "troupe/comm/shm/arena.hpp"

namespace troupe::torch {

namespace {

struct slot {
  parameter_spec spec;
  std::size_t offset = 0; // bytes
  std::size_t bytes = 0;
  at::Tensor value;
};

std::size_t round_up(std::size_t bytes) {
  return (bytes + buffer::alignment - 1) / buffer::alignment
         * buffer::alignment;
}

tensor zeros(std::size_t bytes) {
  tensor x{dtype::float32, {static_cast<std::int64_t>(bytes / sizeof(float))}};
  std::ranges::fill(x.values<float>(), 0.0f);
  return x;
}

/// Zeros that other processes may read, so that a sync exports them without a
/// copy; where there is no such memory, ours alone.
tensor shared_zeros(std::size_t bytes, std::shared_ptr<comm::shm::arena>& all) {
  auto made = comm::shm::arena::create(bytes);
  if (!made)
    return zeros(bytes);
  auto place = (*made)->allocate(bytes);
  if (!place)
    return zeros(bytes);
  all = std::move(*made);
  shape extents{static_cast<std::int64_t>(bytes / sizeof(float))};
  return tensor::from_buffer(dtype::float32, std::move(extents),
                             std::move(*place))
    .value();
}

/// A torch tensor of its own over a part of `all`. Not a view in torch's
/// sense: an in-place update of the whole must not invalidate graphs.
at::Tensor part(const tensor& all, const slot& at) {
  return to_torch(tensor::from_buffer(dtype::float32, at.spec.extents,
                                      all.storage().slice(at.offset, at.bytes))
                    .value());
}

} // namespace

struct arena::impl {
  std::vector<slot> slots;
  std::map<std::string, std::size_t, std::less<>> index;
  /// What `values` lie in; null if nobody else can read them.
  std::shared_ptr<comm::shm::arena> shared;
  tensor values;
  tensor gradients;
  at::Tensor flat_values;
  at::Tensor flat_gradients;
};

arena::arena(std::vector<parameter_spec> specs)
  : impl_(std::make_unique<impl>()) {
  std::size_t total = 0;
  for (auto& spec : specs) {
    auto count = element_count(spec.extents);
    if (!count)
      throw std::invalid_argument{
        fmt::format("parameter {}: {}", spec.name, count.error().message())};
    if (!impl_->index.emplace(spec.name, impl_->slots.size()).second)
      throw std::invalid_argument{
        fmt::format("two parameters are called {}", spec.name)};
    auto bytes = static_cast<std::size_t>(*count) * sizeof(float);
    impl_->slots.push_back({std::move(spec), total, bytes, {}});
    total += round_up(bytes);
  }
  impl_->values = shared_zeros(total, impl_->shared);
  impl_->gradients = zeros(total);
  impl_->flat_values = to_torch(impl_->values);
  impl_->flat_gradients = to_torch(impl_->gradients);
  for (auto& s : impl_->slots) {
    s.value = part(impl_->values, s);
    s.value.set_requires_grad(true);
    s.value.mutable_grad() = part(impl_->gradients, s);
  }
}

arena::~arena() = default;

std::size_t arena::size() const noexcept {
  return impl_->slots.size();
}

const at::Tensor& arena::operator[](std::size_t index) const {
  return impl_->slots.at(index).value;
}

const at::Tensor& arena::at(std::string_view name) const {
  auto i = impl_->index.find(name);
  if (i == impl_->index.end())
    throw std::out_of_range{fmt::format("no parameter is called {}", name)};
  return impl_->slots[i->second].value;
}

std::span<float> arena::values(std::size_t index) const {
  const auto& s = impl_->slots.at(index);
  return all_values().subspan(s.offset / sizeof(float),
                              s.bytes / sizeof(float));
}

const at::Tensor& arena::flat_values() const noexcept {
  return impl_->flat_values;
}

const at::Tensor& arena::flat_gradients() const noexcept {
  return impl_->flat_gradients;
}

std::span<float> arena::all_values() const noexcept {
  return impl_->values.values<float>();
}

std::span<float> arena::all_gradients() const noexcept {
  return impl_->gradients.values<float>();
}

void arena::zero_gradients() {
  std::ranges::fill(all_gradients(), 0.0f);
}

parameter_list arena::parameters() const {
  parameter_list result;
  result.reserve(impl_->slots.size());
  for (const auto& s : impl_->slots)
    result.push_back({s.spec.name,
                      dtype::float32,
                      s.spec.extents,
                      impl_->values.bytes().subspan(s.offset, s.bytes),
                      true,
                      {},
                      impl_->shared});
  return result;
}

} // namespace troupe::torch
