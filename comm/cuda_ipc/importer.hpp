// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "troupe/comm/cuda/runtime.hpp"
#include "troupe/comm/shared_memory.hpp"

namespace troupe::comm::cuda_ipc {

/// Opens what `make_allocation` and `export_existing` of other processes have
/// named. A handle is opened once in this process, whoever asks, and closed
/// when the last who asked lets go.
///
/// `open` fails with
///   corrupt  not a name, or of memory outside its allocation
///   invalid  this process is the exporter, or does not see the device
///   lost     CUDA does not open it: freed, or the exporter has ended
/// Safe to call from any thread.
[[nodiscard]] std::shared_ptr<memory_opener>
make_importer(const cuda::runtime_ptr& runtime);

} // namespace troupe::comm::cuda_ipc
