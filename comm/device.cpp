// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/device.hpp"

namespace troupe::comm {

device::~device() = default;

} // namespace troupe::comm
