// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "troupe/comm/cuda/runtime.hpp"
#include "troupe/comm/device.hpp"
#include "troupe/comm/devices/bounce_line.hpp"
#include "troupe/comm/nccl/library.hpp"

namespace troupe::comm::devices {

/// A GPU: cuda/ for memory and copies, nccl/ between devices, cuda_ipc/ between
/// processes on this one.
class cuda_device final : public device {
public:
  /// Without `nccl` groups of several processes go through their processes'
  /// memory; `without_nccl` says why. Fails with `errc::unavailable` if there
  /// is no device of this number.
  [[nodiscard]] static result<device_ptr> make(cuda::runtime_ptr runtime,
                                               std::int32_t number,
                                               nccl::library_ptr nccl,
                                               std::string without_nccl);

  [[nodiscard]] dlpack::device where() const noexcept override;

  [[nodiscard]] const std::string& uuid() const noexcept override;

  [[nodiscard]] result<void> enter() override;

  [[nodiscard]] result<device_memory_figures> memory() const override;

  [[nodiscard]] result<memory_reach>
  reach(const std::byte* where) const override;

  [[nodiscard]] result<std::shared_ptr<shared_memory>>
  allocate(std::uint64_t bytes) override;

  [[nodiscard]] result<std::shared_ptr<shared_memory>>
  share(std::span<std::byte> memory) override;

  [[nodiscard]] std::shared_ptr<const transfer::copy_engine_maker>
  engines() override;

  /// Through pinned memory, a piece at a time.
  [[nodiscard]] result<void> put(std::byte* to, std::span<const std::byte> from,
                                 deadline until) override;

  [[nodiscard]] result<void> get(std::span<std::byte> to, const std::byte* from,
                                 deadline until) override;

  [[nodiscard]] result<endpoint_ptr>
  make_endpoint(rank_id rank, std::int32_t size,
                const std::string& bind_address) override;

  [[nodiscard]] result<communicator_ptr> widen(communicator_ptr inner) override;

  [[nodiscard]] result<link_ptr>
  make_sender(int fd,
              std::vector<std::shared_ptr<shared_memory>> memories) override;

  [[nodiscard]] result<link_ptr> make_receiver(int fd) override;

private:
  cuda_device(cuda::runtime_ptr runtime, std::int32_t number,
              const cuda::device_figures& figures, nccl::library_ptr nccl,
              std::string without_nccl, bounce_line line);

  /// Fails with `errc::timed_out` if other threads have the line until then.
  result<std::unique_lock<std::timed_mutex>> take_line(deadline until);

  cuda::runtime_ptr runtime_;
  std::int32_t number_;
  cuda::device_figures figures_;
  std::string uuid_;
  nccl::library_ptr nccl_;
  std::string without_nccl_;
  std::shared_ptr<const transfer::copy_engine_maker> engines_;
  /// Guards what follows.
  std::timed_mutex mutex_;
  bounce_line line_;
};

} // namespace troupe::comm::devices
