// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/comm/nccl/library.hpp"
#include "troupe/comm/probe.hpp"
#include "troupe/core/error.hpp"

namespace troupe::comm::nccl {

/// NCCL as it is linked. Exists in builds with CUDA alone; ask factory.hpp.
[[nodiscard]] probe_result probe_nccl();

[[nodiscard]] result<library_ptr> make_nccl_library();

} // namespace troupe::comm::nccl
