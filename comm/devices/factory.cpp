// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/devices/factory.hpp"

#include <string>
#include <utility>

#include <unistd.h>

#include "troupe/comm/cuda/factory.hpp"
#include "troupe/comm/devices/cuda_device.hpp"
#include "troupe/comm/devices/environment.hpp"
#include "troupe/comm/nccl/factory.hpp"
#include "troupe/comm/nccl/network.hpp"
#include "troupe/comm/nccl/version.hpp"
#include "troupe/core/log.hpp"

namespace troupe::comm::devices {

std::string prepare_process(const std::string& log_prefix,
                            const std::string& address) {
  nccl::route_debug_output(log_prefix);
  return nccl::use_network_of(address);
}

result<device_ptr> make_device(std::int32_t number) {
  auto chosen = device_environment(::environ);
  log::info("comm", "cuda:{}: {}", number,
            chosen.empty() ? "no variable of CUDA's or NCCL's is set" : chosen);
  auto runtime = cuda::make_runtime();
  if (!runtime)
    return fail(runtime.error());
  auto nccl = nccl::make_library();
  std::string without;
  if (!nccl) {
    without = nccl.error().message();
    log::warning("comm", "NCCL cannot be used: {}", without);
  }
  return cuda_device::make(std::move(*runtime), number,
                           nccl ? std::move(*nccl) : nullptr,
                           std::move(without));
}

} // namespace troupe::comm::devices
