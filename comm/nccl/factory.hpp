// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/comm/nccl/endpoint.hpp"
#include "troupe/comm/nccl/library.hpp"
#include "troupe/comm/nccl/version.hpp"
#include "troupe/comm/probe.hpp"
#include "troupe/core/error.hpp"

namespace troupe::comm::nccl {

/// Usable if this build has the NCCL backend, the process has exactly one NCCL,
/// of a version that fits, and there is a device (cuda::probe). Says otherwise
/// what is missing and what to do.
[[nodiscard]] probe_result probe();

/// NCCL. Call once at start, before threads: it sets variables of NCCL's in the
/// environment (`order_launches` in version.hpp). Fails as
/// `probe` says, but does not look for a device.
[[nodiscard]] result<library_ptr> make_library();

} // namespace troupe::comm::nccl
