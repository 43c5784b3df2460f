// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/devices/device_subject.hpp"
#include "troupe/comm/cuda/factory.hpp"
#include "troupe/comm/devices/cuda_device.hpp"
#include "troupe/comm/inproc/factory.hpp"

namespace troupe::test {

/// Device 0 of this machine. CUDA begins in the process that asks: its children
/// cannot use it any more. NCCL is joined apart from it, because a device
/// agrees to NCCL with a device for each rank only. Throws what fails.
[[nodiscard]] inline device_subject device_here() {
  auto runtime = comm::cuda::make_runtime().value();
  auto device = comm::devices::cuda_device::make(runtime, 0, nullptr,
                                                 "all ranks share a device");
  return {device.value(), runtime};
}

/// Two ranks of this process on it.
[[nodiscard]] inline device_bed bed_here() {
  auto here = device_here();
  return {here, here, link_kind::cuda, comm::inproc::make_link};
}

} // namespace troupe::test
