// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "troupe/comm/communicator.hpp"
#include "troupe/comm/endpoint.hpp"
#include "troupe/comm/link.hpp"
#include "troupe/comm/shared_memory.hpp"
#include "troupe/core/deadline.hpp"
#include "troupe/core/dlpack.hpp"

namespace troupe::comm::transfer {
class copy_engine_maker;
} // namespace troupe::comm::transfer

namespace troupe::comm {

/// Bytes of a device's memory, all processes together.
struct device_memory_figures {
  std::uint64_t used_bytes = 0;
  std::uint64_t total_bytes = 0;
};

/// Who can use an address as it is.
struct memory_reach {
  /// The processor.
  bool process = true;
  /// The device that was asked.
  bool device = false;
};

/// The device that a process works on, for those who do not know what kind it
/// is: memory on it, and what moves bytes there. A process without a device has
/// none of these (a null pointer): its ranks use inproc, shm and gloo.
///
/// Safe to use from any thread; outlives what it makes.
class device {
public:
  virtual ~device();

  /// What tensors on it say of their memory.
  [[nodiscard]] virtual dlpack::device where() const noexcept = 0;

  /// Which device it is, whatever number a process gives it. For people and
  /// for comparing.
  [[nodiscard]] virtual const std::string& uuid() const noexcept = 0;

  /// From now on the calling thread works on this device.
  [[nodiscard]] virtual result<void> enter() = 0;

  [[nodiscard]] virtual result<device_memory_figures> memory() const = 0;

  // -- memory ------------------------------------------------------------------

  /// Who can use memory that somebody has allocated. Both can use what is
  /// pinned or managed; nobody asked here what lies on another device.
  [[nodiscard]] virtual result<memory_reach>
  reach(const std::byte* where) const = 0;

  /// Fresh memory of the device that other processes of the machine can read
  /// in place. Fails with `errc::exhausted`.
  [[nodiscard]] virtual result<std::shared_ptr<shared_memory>>
  allocate(std::uint64_t bytes) = 0;

  /// The same for memory that somebody else has allocated and keeps. Fails
  /// with `errc::invalid` if other processes cannot read it, and says why.
  [[nodiscard]] virtual result<std::shared_ptr<shared_memory>>
  share(std::span<std::byte> memory) = 0;

  /// For executors whose tensors lie here.
  [[nodiscard]] virtual std::shared_ptr<const transfer::copy_engine_maker>
  engines() = 0;

  /// Between this process's memory and the device's. Waits for it; fails with
  /// `errc::timed_out` at the deadline. A part may have been copied then, and
  /// more of a `put` may follow, but nothing of ours is read or written any
  /// more.
  [[nodiscard]] virtual result<void>
  put(std::byte* to, std::span<const std::byte> from, deadline until) = 0;

  [[nodiscard]] virtual result<void>
  get(std::span<std::byte> to, const std::byte* from, deadline until) = 0;

  // -- communicators and links -------------------------------------------------

  /// One rank of a group over several processes. Its ranks may hand over
  /// memory of the device or of the process, together or in turns. Whether the
  /// devices talk to each other themselves or through their processes is
  /// agreed in `connect`.
  [[nodiscard]] virtual result<endpoint_ptr>
  make_endpoint(rank_id rank, std::int32_t size,
                const std::string& bind_address) = 0;

  /// Lets `inner`, which knows memory of processes only, take the device's.
  [[nodiscard]] virtual result<communicator_ptr>
  widen(communicator_ptr inner) = 0;

  /// The ends of a link between two processes on this device, over one of
  /// `shm::make_sockets` each; takes `fd`, also on failure.
  [[nodiscard]] virtual result<link_ptr>
  make_sender(int fd, std::vector<std::shared_ptr<shared_memory>> memories) = 0;

  [[nodiscard]] virtual result<link_ptr> make_receiver(int fd) = 0;
};

using device_ptr = std::shared_ptr<device>;

} // namespace troupe::comm
