// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "comm/devices/device_subject.hpp"
#include "support/cuda/stand_in_nccl.hpp"
#include "support/cuda/stand_in_runtime.hpp"

namespace troupe::test {

/// Devices that are stood in for, with the copy kernel on the CPU, and what is
/// made of them: beds for syncs, devices for communicators.
class stand_in_devices {
public:
  /// `count` devices that NCCL joins, in one process. `side_by_side`: kernels
  /// of NCCL on one device do not wait for each other.
  explicit stand_in_devices(std::uint32_t count = 1, bool side_by_side = false);

  /// Device `number` as this process has it; without NCCL on request.
  [[nodiscard]] device_subject at(std::uint32_t number,
                                  bool with_nccl = true) const;

  /// Device `first` in another process, as it were: a runtime of its own.
  [[nodiscard]] device_subject elsewhere() const;

  /// Hazards, misuse and leaks: what a test checks last.
  [[nodiscard]] std::vector<std::string> finish() const;

  std::shared_ptr<stand_in_runtime> runtime;
  /// Of the other process.
  std::shared_ptr<stand_in_runtime> other;
  std::shared_ptr<stand_in_nccl> nccl;
  /// With which beds begin.
  std::uint32_t first = 0;
};

/// As checks of Boost.Test.
void check_clean(const stand_in_devices& what);

using devices_ptr = std::shared_ptr<stand_in_devices>;

/// What memory a source over CUDA IPC has.
enum class ipc_memory : std::uint8_t {
  /// Made to be read by others.
  exported = 1,
  /// Nobody else can read it: what is sent is packed.
  unnamed,
  /// Some of each.
  mixed,
  /// Allocated by somebody else and given a name later.
  given,
};

/// Two ranks of one process on device `first`.
[[nodiscard]] device_bed cuda_bed(const devices_ptr& on);

/// Two processes on device `first`. `area_bytes` bounds the tensors of a source.
[[nodiscard]] device_bed cuda_ipc_bed(const devices_ptr& on, ipc_memory memory,
                                      std::size_t area_bytes = std::size_t{64}
                                                               << 20);

/// Two processes with a device each, `first` and the next.
[[nodiscard]] device_bed nccl_bed(const devices_ptr& on);

/// For syncs of several ranks: each has a device of its own. Rank i of the
/// sources is on device i, of the destinations on device `ranks_max` + i.
[[nodiscard]] sync_backend nccl_backend(const devices_ptr& on);

inline constexpr std::uint32_t ranks_max = 4;

/// Endpoints of all ranks, rank i on `devices[i]`.
[[nodiscard]] std::vector<comm::endpoint_ptr>
endpoints_of(const std::vector<device_subject>& devices);

/// Connected, one thread a rank.
[[nodiscard]] std::vector<comm::communicator_ptr>
connect(const std::vector<comm::endpoint_ptr>& endpoints);

} // namespace troupe::test
