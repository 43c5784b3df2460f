// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/cuda/stream.hpp"

#include <fmt/format.h>

#include "troupe/comm/cuda/check.hpp"
#include "troupe/comm/cuda/device_guard.hpp"

namespace troupe::comm::cuda {

// -- stream_view ---------------------------------------------------------------

result<void> stream_view::copy(void* to, const void* from, std::uint64_t bytes,
                               call_site where) const {
  if (bytes == 0)
    return {};
  auto here = device_guard::attempt(*api_, device_);
  return check(
    *api_, api_->copy(to, from, bytes, handle_),
    [&] { return fmt::format("cudaMemcpyAsync({})", bytes); }, where);
}

result<void> stream_view::fill(void* to, std::uint8_t value,
                               std::uint64_t bytes, call_site where) const {
  if (bytes == 0)
    return {};
  auto here = device_guard::attempt(*api_, device_);
  return check(
    *api_, api_->fill(to, value, bytes, handle_),
    [&] { return fmt::format("cudaMemsetAsync({})", bytes); }, where);
}

result<void> stream_view::launch(const copy_launch& what,
                                 call_site where) const {
  auto here = device_guard::attempt(*api_, device_);
  return check(
    *api_, api_->launch(what, handle_),
    [&] {
      return fmt::format("the copy kernel ({} parts, {} tiles)",
                         what.part_count, what.tiles);
    },
    where);
}

result<void> stream_view::record(const event& what, call_site where) const {
  auto here = device_guard::attempt(*api_, device_);
  return check(*api_, api_->record(what.handle(), handle_), "cudaEventRecord",
               where);
}

result<void> stream_view::wait_for(const event& what, call_site where) const {
  auto here = device_guard::attempt(*api_, device_);
  return check(*api_, api_->wait(handle_, what.handle()), "cudaStreamWaitEvent",
               where);
}

// -- stream --------------------------------------------------------------------

result<stream> stream::create(runtime_ptr api, std::int32_t device) {
  auto guard = device_guard::enter(*api, device);
  if (!guard)
    return fail(guard.error());
  auto end = event::create(api, device);
  if (!end)
    return fail(end.error());
  stream_handle handle = nullptr;
  if (auto ok = check(api, api->create_stream(handle), "cudaStreamCreate"); !ok)
    return fail(ok.error());
  return stream{handle, device, std::move(*end)};
}

stream::~stream() {
  if (handle_ == nullptr)
    return;
  auto here = device_guard::attempt(*end_.api(), device_);
  ignore(*end_.api(), end_.api()->destroy_stream(handle_));
}

result<void> stream::synchronize(deadline until,
                                 const std::atomic<bool>* aborted,
                                 call_site where) const {
  if (auto ok = view().record(end_, where); !ok)
    return ok;
  return end_.wait(until, aborted, where);
}

} // namespace troupe::comm::cuda
