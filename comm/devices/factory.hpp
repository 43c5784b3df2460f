// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "troupe/comm/device.hpp"

namespace troupe::comm::devices {

/// Before the first thread of a process that will work on a device: what NCCL
/// has to say (`NCCL_DEBUG`) goes to files that begin with `log_prefix`, and its
/// sockets are on the network of `address`, this machine's for others, unless
/// that is empty. Gives back what was chosen, for the log; may be empty.
[[nodiscard]] std::string prepare_process(const std::string& log_prefix,
                                          const std::string& address);

/// Starts CUDA in this process on the GPU with this number, and NCCL if it can
/// be had. Fails with `errc::unavailable` and the reason: no CUDA in this
/// build, no driver, no such GPU.
[[nodiscard]] result<device_ptr> make_device(std::int32_t number);

} // namespace troupe::comm::devices
