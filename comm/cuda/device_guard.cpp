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

device_guard::~device_guard() {
  if (api_ != nullptr)
    ignore(*api_, api_->set_device(before_));
}

} // namespace troupe::comm::cuda
