// SPDX-License-Identifier: Apache-2.0
// In builds with CUDA.
#include "troupe/comm/nccl/factory.hpp"

#include <fmt/core.h>

#include "troupe/comm/cuda/factory.hpp"
#include "troupe/comm/nccl/nccl_library.hpp"

namespace troupe::comm::nccl {

probe_result probe() {
  auto found = probe_nccl();
  if (!found.usable)
    return found;
  auto device = cuda::probe();
  if (!device.usable)
    return device;
  return {true, fmt::format("{}, {}", found.reason, device.reason)};
}

result<library_ptr> make_library() {
  return make_nccl_library();
}

} // namespace troupe::comm::nccl
