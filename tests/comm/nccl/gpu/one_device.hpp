// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "support/forked_ranks.hpp"
#include "troupe/comm/nccl/communicator.hpp"

namespace troupe::test {

/// A fixture of the program. Ends it with 77 and says why where there is no
/// device, before any suite's fixture makes its processes: fixtures of the
/// program come first. Asks in a process of its own: once CUDA has begun in
/// this one, none of its children can use it.
struct device_or_skip {
  device_or_skip();
};

/// What a rank's process joins with so that many share device 0. NCCL refuses
/// two ranks of one machine on one device; with a NCCL_HOSTID each it takes the
/// processes for machines, which speak through sockets.
///
/// Call once, in a process without threads that has not touched CUDA yet.
[[nodiscard]] result<comm::nccl::settings>
settings_on_one_device(std::size_t rank);

struct rank_place {
  /// Null: it did not join, and has said why.
  std::shared_ptr<comm::nccl::nccl_communicator> group;
  comm::cuda::runtime_ptr runtime;
};

/// A rank's side of a rendezvous; `parent` is at `exchange`. As
/// `settings_on_one_device`.
[[nodiscard]] rank_place join_on_one_device(std::size_t rank, std::int32_t size,
                                            pipe_end& parent);

} // namespace troupe::test
