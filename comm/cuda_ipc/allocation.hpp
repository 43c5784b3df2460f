// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "troupe/comm/cuda/runtime.hpp"
#include "troupe/comm/shared_memory.hpp"
#include "troupe/core/error.hpp"

namespace troupe::comm::cuda_ipc {

/// CUDA shares whole blocks of this size, with whatever else lies in them.
inline constexpr std::uint64_t block_bytes = std::uint64_t{2} << 20;

/// Fresh memory of `device` that other processes can read in place: at least
/// `bytes`, in whole blocks of its own, not zeroed.
///
/// Frees itself when the last owner lets go, but not before every process that
/// was given it over a link has closed it or ended; until then it is kept, and
/// freed by a later call of a function of this room.
///
/// Fails with `errc::exhausted`, or `errc::invalid` if `bytes` is 0 or memory
/// of this device cannot be exported. Safe to call from any thread.
[[nodiscard]] result<std::shared_ptr<shared_memory>>
make_allocation(const cuda::runtime_ptr& runtime, std::int32_t device,
                std::uint64_t bytes);

/// Makes device memory that somebody else allocated (a framework) readable for
/// other processes. It must lie in one allocation of cudaMalloc, which is
/// exported once, however many parts of it are. The memory stays its owner's,
/// who may free it only after the result is gone and the processes that were
/// given it have closed it (docs/cuda_gotchas.md).
///
/// Fails with `errc::invalid`, saying what to change, for memory that has no
/// name: of the host, managed, of a pool. Safe to call from any thread.
[[nodiscard]] result<std::shared_ptr<shared_memory>>
export_existing(const cuda::runtime_ptr& runtime, std::span<std::byte> memory);

} // namespace troupe::comm::cuda_ipc
