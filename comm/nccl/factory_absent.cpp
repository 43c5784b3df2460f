// SPDX-License-Identifier: Apache-2.0
// In builds without CUDA.
#include "troupe/comm/nccl/factory.hpp"

namespace troupe::comm::nccl {

namespace {

constexpr auto
  reason = "this build has no NCCL backend: build with the preset cuda";

} // namespace

probe_result probe() {
  return {false, reason};
}

result<library_ptr> make_library() {
  return fail(errc::unavailable, reason);
}

} // namespace troupe::comm::nccl
