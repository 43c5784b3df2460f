// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/nccl/library.hpp"

namespace troupe::comm::nccl {

library::~library() = default;

} // namespace troupe::comm::nccl
