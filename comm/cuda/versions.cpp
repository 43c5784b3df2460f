// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/cuda/versions.hpp"

#include <fmt/format.h>

namespace troupe::comm::cuda {

std::string version_text(int number) {
  return fmt::format("{}.{}", number / 1000, number % 1000 / 10);
}

probe_result judge_versions(int runtime, int driver) {
  if (driver == 0)
    return {false, "no NVIDIA driver is loaded: install one, or in a container "
                   "give it the devices"};
  if (driver / 1000 < runtime / 1000)
    return {false,
            fmt::format("the NVIDIA driver is too old: it knows CUDA {}, this "
                        "build needs {}.0: update the driver, or build with an "
                        "older CUDA toolkit",
                        version_text(driver), runtime / 1000)};
  return {true, fmt::format("CUDA runtime {}, driver {}", version_text(runtime),
                            version_text(driver))};
}

std::string explain_no_device(const char* visible_devices) {
  if (visible_devices == nullptr)
    return "the driver shows none: see nvidia-smi -L, and give a container or "
           "a batch job the devices";
  return fmt::format("CUDA_VISIBLE_DEVICES is '{}': unset it, or name devices "
                     "that nvidia-smi -L lists",
                     visible_devices);
}

} // namespace troupe::comm::cuda
