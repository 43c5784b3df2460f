// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/cuda/device_guard.hpp"

#include <fmt/format.h>

#include "troupe/comm/cuda/check.hpp"

namespace troupe::comm::cuda {

result<device_guard> device_guard::enter(runtime& api, std::int32_t device) {
  std::int32_t before = 0;
  if (auto ok = check(api, api.current_device(before), "cudaGetDevice"); !ok)
    return fail(ok.error());
  if (before == device)
    return device_guard{nullptr, before};
  if (auto ok = check(api, api.set_device(device),
                      [&] { return fmt::format("cudaSetDevice({})", device); });
      !ok)
    return fail(ok.error());
  return device_guard{&api, before};
}

device_guard device_guard::attempt(runtime& api, std::int32_t device) noexcept {
  std::int32_t before = 0;
  auto code = api.current_device(before);
  if (code == codes::success && before == device)
    return {nullptr, before};
  if (code == codes::success)
    code = api.set_device(device);
  if (code == codes::success)
    return {&api, before};
  ignore(api, code);
  return {nullptr, before};
}

device_guard::~device_guard() {
  if (api_ != nullptr && api_->has_context(before_))
    ignore(*api_, api_->set_device(before_));
}

} // namespace troupe::comm::cuda
