// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/device_block.hpp"

#include <stdexcept>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include "troupe/apps/torch/device.hpp"
#include "troupe/apps/torch/tensor_bridge.hpp"
#include "troupe/comm/shm/arena.hpp"

namespace troupe::torch {

struct device_block::impl {
  std::size_t size = 0;
  dlpack::device device;
  block_use use = block_use::own;
  /// All bytes, uint8. Its storage is the one that all parts share.
  at::Tensor all;
  std::shared_ptr<comm::shared_memory> shared;
  /// The bytes while they are away; none of scratch.
  at::Tensor host;
  bool present = true;

  [[nodiscard]] std::int64_t length() const {
    return static_cast<std::int64_t>(size);
  }

  [[nodiscard]] bool on_cuda() const {
    return device.type == dlpack::device_type::cuda;
  }

  [[nodiscard]] bool kept() const { return use != block_use::scratch; }

  /// Fresh bytes of the device, unset or zero.
  at::Tensor allocate(std::shared_ptr<comm::shared_memory>& holder) const {
    if (on_cuda())
      return at::empty({length()}, at::TensorOptions(at::kByte).device(
                                     torch_device(device)));
    // Ours are aligned as syncs like it; libtorch's need not be.
    if (use == block_use::shared && size > 0)
      if (auto made = comm::shm::arena::create(size))
        if (auto place = (*made)->allocate(size)) {
          holder = *std::move(made);
          return to_torch(
            tensor::from_buffer(dtype::uint8, {length()}, *std::move(place))
              .value());
        }
    return to_torch(tensor{dtype::uint8, {length()}});
  }

  /// Lets the storage hold `memory`; what it held is freed.
  void give_storage(at::DataPtr memory, std::size_t bytes) const {
    const auto& storage = all.storage();
    storage.set_data_ptr(std::move(memory));
    storage.set_nbytes(bytes);
  }
};

device_block::device_block(std::size_t bytes, dlpack::device where,
                           block_use use)
  : impl_(std::make_unique<impl>()) {
  impl_->size = bytes;
  impl_->device = where;
  impl_->use = use;
  impl_->all = impl_->allocate(impl_->shared);
  impl_->all.zero_();
}

device_block::~device_block() = default;

std::size_t device_block::size() const noexcept {
  return impl_->size;
}

dlpack::device device_block::device() const noexcept {
  return impl_->device;
}

at::Tensor device_block::part(std::size_t offset, dtype type,
                              const shape& extents) const {
  auto kind = type == dtype::uint8 ? at::kByte : scalar_type(type);
  auto of_type = at::empty({0}, impl_->all.options().dtype(kind));
  std::vector<std::int64_t> strides(extents.size());
  std::int64_t step = 1;
  for (auto i = extents.size(); i-- > 0;) {
    strides[i] = step;
    step *= extents[i];
  }
  of_type.set_(impl_->all.storage(),
               static_cast<std::int64_t>(offset / size_of(type)), extents,
               strides);
  return of_type;
}

std::span<std::byte> device_block::bytes() const {
  if (!impl_->present)
    throw std::logic_error{"the model's memory is not on its device: it was "
                           "offloaded and not loaded again"};
  return {static_cast<std::byte*>(impl_->all.data_ptr()), impl_->size};
}

const std::shared_ptr<comm::shared_memory>&
device_block::shared() const noexcept {
  return impl_->shared;
}

bool device_block::present() const noexcept {
  return impl_->present;
}

void device_block::leave() {
  if (!impl_->present)
    return;
  at::NoGradGuard no_grad;
  if (impl_->kept()) {
    auto host = at::empty({impl_->length()},
                          at::TensorOptions(at::kByte).pinned_memory(
                            impl_->on_cuda()));
    host.copy_(impl_->all);
    impl_->host = std::move(host);
  }
  impl_->present = false;
  impl_->give_storage({nullptr, torch_device(impl_->device)}, 0);
  impl_->shared.reset();
}

void device_block::come_back() {
  if (impl_->present)
    return;
  at::NoGradGuard no_grad;
  std::shared_ptr<comm::shared_memory> shared;
  auto fresh = impl_->allocate(shared);
  if (impl_->kept())
    fresh.copy_(impl_->host);
  else
    fresh.zero_();
  auto memory = fresh.storage().set_data_ptr(
    {nullptr, torch_device(impl_->device)});
  impl_->give_storage(std::move(memory), impl_->size);
  impl_->shared = std::move(shared);
  impl_->host.reset();
  impl_->present = true;
}

} // namespace troupe::torch
