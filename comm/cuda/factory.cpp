// SPDX-License-Identifier: Apache-2.0
// In builds with CUDA.
#include "troupe/comm/cuda/factory.hpp"

#include "troupe/comm/cuda/cuda_runtime.hpp"

namespace troupe::comm::cuda {

probe_result probe() {
  return probe_cuda();
}

result<runtime_ptr> make_runtime() {
  auto answer = probe_cuda();
  if (!answer.usable)
    return fail(errc::unavailable, std::move(answer.reason));
  return make_cuda_runtime();
}

} // namespace troupe::comm::cuda
