// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/nccl/staging.hpp"

#include <utility>

namespace troupe::comm::nccl {

result<std::unique_ptr<staging>> staging::make(cuda::runtime_ptr on,
                                               std::int32_t device,
                                               std::size_t chunk_bytes) {
  auto stream = cuda::stream::create(on, device);
  if (!stream)
    return fail(stream.error());
  auto mark = cuda::event::create(on, device);
  if (!mark)
    return fail(mark.error());
  auto word = cuda::device_memory::allocate(on, device, sizeof(std::int32_t));
  if (!word)
    return fail(word.error());
  auto parts = std::make_unique<owned>(owned{std::move(*stream),
                                             std::move(*mark),
                                             std::move(*word),
                                             {},
                                             {},
                                             {},
                                             {}});
  return std::unique_ptr<staging>{
    new staging{std::move(on), chunk_bytes, std::move(parts)}};
}

staging::staging(cuda::runtime_ptr on, std::size_t chunk_bytes,
                 std::unique_ptr<owned> parts)
  : runtime_(std::move(on)),
    chunk_bytes_(chunk_bytes),
    owned_(std::move(parts)) {
  // nop
}

staging::~staging() {
  if (abandoned_)
    (void) owned_.release();
}

result<void> staging::need_chunks() {
  for (auto* x : {&owned_->pinned_out, &owned_->pinned_in})
    if (x->data() == nullptr) {
      auto made = cuda::pinned_memory::allocate(runtime_, chunk_bytes_);
      if (!made)
        return fail(made.error());
      *x = std::move(*made);
    }
  for (auto* x : {&owned_->device_out, &owned_->device_in})
    if (x->data() == nullptr) {
      auto made = cuda::device_memory::allocate(runtime_,
                                                owned_->stream.device(),
                                                chunk_bytes_);
      if (!made)
        return fail(made.error());
      *x = std::move(*made);
    }
  return {};
}

result<void> staging::copy(void* to, const void* from, std::size_t bytes) {
  if (bytes == 0)
    return {};
  return owned_->stream.view().copy(to, from, bytes);
}

result<void> staging::mark() {
  return owned_->stream.view().record(owned_->mark);
}

result<bool> staging::passed() const {
  return owned_->mark.done();
}

} // namespace troupe::comm::nccl
