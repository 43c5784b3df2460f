// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "troupe/comm/cuda/runtime.hpp"
#include "troupe/comm/link.hpp"
#include "troupe/comm/probe.hpp"
#include "troupe/comm/shared_memory.hpp"

namespace troupe::comm::cuda_ipc {

/// Usable where memory of `device` can be exported. Allocates a block for as
/// long as the answer takes.
[[nodiscard]] probe_result probe(const cuda::runtime_ptr& runtime,
                                 std::int32_t device = 0);

/// The sending end over one of `shm::make_sockets`; takes `fd`, also on
/// failure.
///
/// The receiver reads `memories`, and what is shared later, in windows where
/// they stand on the device. Pushed is host memory only, as over `comm/shm`.
/// The device's work on the memory must be done before it is lent: the link
/// orders processes, not streams (docs/cuda_gotchas.md).
///
/// Fails with `errc::invalid` if `fd` is no such socket or memory does not lie
/// on `device`, a number of this process.
[[nodiscard]] result<link_ptr>
make_sender(int fd, const cuda::runtime_ptr& runtime, std::int32_t device,
            std::vector<std::shared_ptr<shared_memory>> memories = {});

/// The receiving end; takes `fd`, also on failure. Views are of device memory,
/// to be read by the device only, and all reading must be done before it is
/// given back.
[[nodiscard]] result<link_ptr> make_receiver(int fd,
                                             const cuda::runtime_ptr& runtime);

} // namespace troupe::comm::cuda_ipc
