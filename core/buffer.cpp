// SPDX-License-Identifier: Apache-2.0
#include "troupe/core/buffer.hpp"

#include <cassert>
#include <cstring>
#include <new>

namespace troupe {

buffer buffer::allocate(std::size_t bytes) {
  if (bytes == 0)
    return {};
  auto* data = static_cast<std::byte*>(
    ::operator new (bytes, std::align_val_t{alignment}));
  std::shared_ptr<void> owner{data, [](void* p) {
                                ::operator delete (p,
                                                   std::align_val_t{alignment});
                              }};
  return wrap(data, bytes, std::move(owner));
}

buffer buffer::copy_of(std::span<const std::byte> bytes) {
  auto copy = allocate(bytes.size());
  if (!bytes.empty())
    std::memcpy(copy.data(), bytes.data(), bytes.size());
  return copy;
}

buffer buffer::wrap(std::byte* data, std::size_t bytes,
                    std::shared_ptr<void> owner, dlpack::device device) {
  buffer result;
  result.owner_ = std::move(owner);
  result.data_ = data;
  result.size_ = bytes;
  result.device_ = device;
  return result;
}

buffer buffer::slice(std::size_t offset, std::size_t bytes) const {
  assert(offset <= size_ && bytes <= size_ - offset);
  return wrap(data_ + offset, bytes, owner_, device_);
}

} // namespace troupe
