// SPDX-License-Identifier: Apache-2.0
// In builds without CUDA.
#include "troupe/comm/cuda/factory.hpp"

namespace troupe::comm::cuda {

namespace {

constexpr auto
  reason = "this build has no CUDA backend: build with the preset cuda";

} // namespace

probe_result probe() {
  return {false, reason};
}

result<runtime_ptr> make_runtime() {
  return fail(errc::unavailable, reason);
}

} // namespace troupe::comm::cuda
