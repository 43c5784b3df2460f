// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "troupe/comm/cuda/copy_launch.hpp"

namespace troupe::test {

/// How a launch is cut, and what is found.
struct host_kernel_options {
  unsigned blocks = 3;
  /// A block's. Few, so that small tiles take several rounds as well.
  unsigned threads = 32;
};

/// What the threads asked of the memory.
struct host_kernel_counts {
  /// Loads and stores of 16 bytes.
  std::uint64_t vector_loads = 0;
  std::uint64_t vector_stores = 0;
  std::uint64_t other_loads = 0;
  std::uint64_t other_stores = 0;
  /// On a device each of them ends the process's context.
  std::uint64_t misaligned = 0;
};

/// Does what the kernel does, by the kernel's own code, thread after thread, on
/// memory of the host.
host_kernel_counts run_on_host(const comm::cuda::copy_launch& what,
                               const host_kernel_options& options = {});

/// For `stand_in_runtime::execute_with`.
void host_kernel(const comm::cuda::copy_launch& what);

} // namespace troupe::test
