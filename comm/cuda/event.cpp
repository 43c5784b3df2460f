// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/cuda/event.hpp"

#include "troupe/comm/cuda/check.hpp"
#include "troupe/comm/cuda/device_guard.hpp"
#include "troupe/comm/cuda/wait.hpp"

namespace troupe::comm::cuda {

result<event> event::create(runtime_ptr api, std::int32_t device, bool timed) {
  auto guard = device_guard::enter(*api, device);
  if (!guard)
    return fail(guard.error());
  event_handle handle = nullptr;
  if (auto ok = check(api, api->create_event(handle, timed), "cudaEventCreate");
      !ok)
    return fail(ok.error());
  return event{std::move(api), handle, device};
}

event::~event() {
  if (handle_ == nullptr)
    return;
  auto here = device_guard::attempt(*api_, device_);
  ignore(*api_, api_->destroy_event(handle_));
}

result<bool> event::done() const {
  auto here = device_guard::attempt(*api_, device_);
  auto code = api_->query(handle_);
  if (code == codes::not_ready)
    return false;
  if (auto ok = check(api_, code, "cudaEventQuery"); !ok)
    return fail(ok.error());
  return true;
}

result<void> event::wait(deadline until, const std::atomic<bool>* aborted,
                         call_site where) const {
  auto here = device_guard::attempt(*api_, device_);
  return cuda::wait(*api_, handle_, until, aborted, where);
}

result<duration> event::until(const event& end) const {
  float ms = 0;
  if (auto ok = check(api_, api_->elapsed_ms(handle_, end.handle_, ms),
                      "cudaEventElapsedTime");
      !ok)
    return fail(ok.error());
  return std::chrono::duration_cast<duration>(
    std::chrono::duration<double, std::milli>{ms});
}

} // namespace troupe::comm::cuda
