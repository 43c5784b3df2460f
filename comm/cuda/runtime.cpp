// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/cuda/runtime.hpp"

namespace troupe::comm::cuda {

runtime::~runtime() = default;

} // namespace troupe::comm::cuda
