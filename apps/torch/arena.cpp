// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/arena.hpp"

#include <map>
#include <optional>
#include <stdexcept>

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "troupe/apps/torch/device.hpp"
#include "troupe/core/buffer.hpp"

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

at::Tensor flat(const device_block& all, dtype type) {
  return all.part(0, type,
                  {static_cast<std::int64_t>(all.size() / size_of(type))});
}

std::span<float> floats(const device_block& all, dtype type) {
  if (type != dtype::float32 || all.device().type != dlpack::device_type::cpu)
    throw std::logic_error{"arena: the elements are not floats of this "
                           "process's memory"};
  auto bytes = all.bytes();
  return {reinterpret_cast<float*>(bytes.data()), bytes.size() / sizeof(float)};
}

} // namespace

struct arena::impl {
  arena_settings settings;
  std::vector<slot> slots;
  std::map<std::string, std::size_t, std::less<>> index;
  std::optional<device_block> values;
  std::optional<device_block> gradients;
  at::Tensor flat_values;
  at::Tensor flat_gradients;
};

arena::arena(std::vector<parameter_spec> specs, const arena_settings& settings)
  : impl_(std::make_unique<impl>()) {
  if (settings.trains && settings.type != dtype::float32)
    throw std::invalid_argument{
      fmt::format("parameters that train are kept in float32, not in {}",
                  to_string(settings.type))};
  impl_->settings = settings;
  std::size_t total = 0;
  for (auto& spec : specs) {
    auto count = element_count(spec.extents);
    if (!count)
      throw std::invalid_argument{
        fmt::format("parameter {}: {}", spec.name, count.error().message())};
    if (!impl_->index.emplace(spec.name, impl_->slots.size()).second)
      throw std::invalid_argument{
        fmt::format("two parameters are called {}", spec.name)};
    auto bytes = static_cast<std::size_t>(*count) * size_of(settings.type);
    impl_->slots.push_back({std::move(spec), total, bytes, {}});
    total += round_up(bytes);
  }
  impl_->values.emplace(total, settings.device, block_use::shared);
  impl_->flat_values = flat(*impl_->values, settings.type);
  if (settings.trains) {
    impl_->gradients.emplace(total, settings.device, block_use::scratch);
    impl_->flat_gradients = flat(*impl_->gradients, settings.type);
  }
  for (auto& s : impl_->slots) {
    s.value = impl_->values->part(s.offset, settings.type, s.spec.extents);
    if (!settings.trains)
      continue;
    s.value.set_requires_grad(true);
    s.value.mutable_grad() = impl_->gradients->part(s.offset, settings.type,
                                                    s.spec.extents);
  }
}

arena::~arena() = default;

std::size_t arena::size() const noexcept {
  return impl_->slots.size();
}

const arena_settings& arena::settings() const noexcept {
  return impl_->settings;
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

std::vector<at::Tensor> arena::in_type(dtype type, std::size_t first,
                                       std::size_t count) const {
  std::vector<at::Tensor> result;
  if (type == impl_->settings.type) {
    for (std::size_t i = first; i < first + count; ++i)
      result.push_back(impl_->slots.at(i).value);
    return result;
  }
  auto element = size_of(impl_->settings.type);
  auto begin = impl_->slots.at(first).offset;
  auto end = begin;
  std::vector<std::int64_t> pieces;
  std::vector<std::size_t> piece_of;
  for (std::size_t i = first; i < first + count; ++i) {
    const auto& s = impl_->slots.at(i);
    // What aligns it is a piece of its own.
    if (s.offset > end)
      pieces.push_back(static_cast<std::int64_t>((s.offset - end) / element));
    piece_of.push_back(pieces.size());
    pieces.push_back(static_cast<std::int64_t>(s.bytes / element));
    end = s.offset + s.bytes;
  }
  auto of = [&](const device_block& all) {
    return all.part(begin, impl_->settings.type,
                    {static_cast<std::int64_t>((end - begin) / element)});
  };
  auto together = of(*impl_->values);
  if (impl_->gradients) {
    together.set_requires_grad(true);
    together.mutable_grad() = of(*impl_->gradients);
  }
  auto parts = together.to(scalar_type(type)).split_with_sizes(pieces);
  for (std::size_t i = 0; i < count; ++i)
    result.push_back(
      parts[piece_of[i]].view(impl_->slots[first + i].spec.extents));
  return result;
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

std::span<float> arena::all_values() const {
  return floats(*impl_->values, impl_->settings.type);
}

std::span<float> arena::all_gradients() const {
  if (!impl_->gradients)
    throw std::logic_error{"arena: it does not train and has no gradients"};
  return floats(*impl_->gradients, impl_->settings.type);
}

device_block& arena::value_block() noexcept {
  return *impl_->values;
}

device_block* arena::gradient_block() noexcept {
  return impl_->gradients ? &*impl_->gradients : nullptr;
}

void arena::zero_gradients() {
  at::NoGradGuard no_grad;
  if (impl_->gradients)
    impl_->flat_gradients.zero_();
}

parameter_list arena::parameters() const {
  parameter_list result;
  result.reserve(impl_->slots.size());
  auto bytes = impl_->values->bytes();
  for (const auto& s : impl_->slots)
    result.push_back({s.spec.name,
                      impl_->settings.type,
                      s.spec.extents,
                      bytes.subspan(s.offset, s.bytes),
                      true,
                      {},
                      impl_->values->shared(),
                      impl_->settings.device});
  return result;
}

} // namespace troupe::torch
