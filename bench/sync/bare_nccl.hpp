// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "troupe/bench/sync/gpu.hpp"
#include "troupe/bench/sync/two_processes.hpp"
#include "troupe/comm/cuda/stream.hpp"
#include "troupe/comm/nccl/owned_comm.hpp"

namespace troupe::bench {

/// NCCL between both processes, by its own calls and nothing else: what our
/// link is compared with. Both ends call the same, and begin together.
class bare_nccl {
public:
  /// Fails with `errc::unavailable` if `on` has no NCCL.
  [[nodiscard]] static result<bare_nccl> connect(const two_processes& with,
                                                 gpu& on);

  bare_nccl(bare_nccl&&) noexcept = default;
  bare_nccl& operator=(bare_nccl&&) = delete;

  ~bare_nccl();

  /// Seconds that the source's bytes take, an ncclSend and an ncclRecv for each
  /// `piece_bytes` of them. With pieces as large as the link's buckets both make
  /// as many calls: what a call costs two processes that share a device in turns
  /// is not the link's.
  [[nodiscard]] result<double> send(std::span<std::byte> data,
                                    std::size_t piece_bytes);

private:
  bare_nccl(const two_processes& with, gpu& on,
            std::unique_ptr<comm::nccl::owned_comm> group,
            comm::cuda::stream line);

  [[nodiscard]] result<void> begin(std::span<std::byte> piece);

  /// Until NCCL has nothing in progress.
  [[nodiscard]] static result<void>
  await(gpu& on, comm::nccl::owned_comm& group, const char* what);

  const two_processes& with_;
  gpu& on_;
  std::unique_ptr<comm::nccl::owned_comm> group_;
  comm::cuda::stream line_;
};

} // namespace troupe::bench
