// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "troupe/comm/communicator.hpp"
#include "troupe/comm/cuda/device_guard.hpp"
#include "troupe/comm/endpoint.hpp"
#include "troupe/comm/nccl/library.hpp"
#include "troupe/comm/nccl/owned_comm.hpp"
#include "troupe/comm/nccl/sideband.hpp"
#include "troupe/comm/nccl/staging.hpp"

namespace troupe::comm::nccl {

/// What all communicators of a rank are made with.
struct settings {
  /// Address or host name at which peers reach the connections beside NCCL.
  std::string bind_address = "127.0.0.1";
  /// Network interface, e.g. `"eth0"`; if set, `bind_address` is ignored.
  std::string interface;
  /// Of this process.
  std::int32_t device = 0;
  cuda::runtime_ptr runtime;
  library_ptr library;
  /// How much host memory goes over at a time. Equal on all ranks.
  std::size_t chunk_bytes = std::size_t{4} << 20;
  /// A failure leaves NCCL's communicator standing for `shrink`. Device memory
  /// of the failed operation stays borrowed until `shrink` is through or the
  /// communicator's end.
  bool keep_for_shrink = false;
  /// How long an NCCL that hangs holds a thread.
  comm_limits limits;
};

/// Blocks of a chunk begin at multiples of so many bytes.
inline constexpr std::size_t block_alignment = 16;

/// What the log calls a rank.
[[nodiscard]] std::string name_of(rank_id rank, std::int32_t size,
                                  const settings& config);

class nccl_communicator;

/// Memory that NCCL moves without copies of its own where it can. Ends before
/// the memory does; holds the communicator.
class registered_memory {
public:
  registered_memory(std::shared_ptr<nccl_communicator> home,
                    registration_handle what) noexcept
    : home_(std::move(home)),
      what_(what) {
    // nop
  }

  registered_memory(registered_memory&& other) noexcept = default;

  registered_memory& operator=(registered_memory&&) = delete;

  ~registered_memory();

private:
  std::shared_ptr<nccl_communicator> home_;
  registration_handle what_;
};

/// A communicator over NCCL on one device. Every operation goes through a
/// stream of its own and is waited for, so the caller's memory must be ready
/// when it is called and is ready when it returns.
///
/// Memory is device memory of this device, which NCCL uses as it is, or host
/// memory, which goes over the device in chunks. All ranks (of a message: both)
/// must choose the same; sizes of collectives must be equal, which nobody
/// checks: the deadline ends what does not fit together.
///
/// Host memory is reduced on the host, exactly as the interface says. Device
/// memory is reduced by NCCL, which
///   - adds bfloat16 and float16 with a rounding at each step,
///   - drops a NaN in max and min where the other operand is a number,
///   - gives all ranks the same bits, but others on other topologies.
///
/// Messages from one rank to another are received in the order in which they
/// are sent: NCCL has no tags. A `recv` with another tag or size than the next
/// message has fails with `errc::invalid` and touches nothing.
///
/// An NCCL or a device that hangs holds nobody for ever: `abort` and `health` do
/// not wait, the operating thread comes back from a failed operation within
/// `comm_limits::end` and 5 s for its kernels, and the destructor within that
/// and as much again for its memory (and 2 s before, in which NCCL may finish
/// what peers still need). What then still hangs is left behind with all that it
/// touches, and the log says so.
///
/// Threads: as `communicator`; `health` from any thread.
class nccl_communicator final
  : public communicator,
    public std::enable_shared_from_this<nccl_communicator> {
public:
  nccl_communicator(settings config, rank_id rank, std::int32_t size,
                    std::unique_ptr<owned_comm> comm,
                    std::unique_ptr<sideband> peers,
                    std::unique_ptr<staging> place);

  ~nccl_communicator() override;

  [[nodiscard]] rank_id rank() const noexcept override { return rank_; }

  [[nodiscard]] std::int32_t size() const noexcept override { return size_; }

  [[nodiscard]] result<void> send(std::span<const std::byte> data, rank_id peer,
                                  std::uint32_t tag, deadline until) override;

  [[nodiscard]] result<void> recv(std::span<std::byte> data, rank_id peer,
                                  std::uint32_t tag, deadline until) override;

  [[nodiscard]] result<void> broadcast(std::span<std::byte> data, rank_id root,
                                       deadline until) override;

  [[nodiscard]] result<void> all_reduce(std::span<std::byte> data, dtype type,
                                        reduce_op op, deadline until) override;

  [[nodiscard]] result<void> all_gather(std::span<const std::byte> in,
                                        std::span<std::byte> out,
                                        deadline until) override;

  [[nodiscard]] result<void> reduce_scatter(std::span<const std::byte> in,
                                            std::span<std::byte> out,
                                            dtype type, reduce_op op,
                                            deadline until) override;

  [[nodiscard]] result<void> barrier(deadline until) override;

  void abort() noexcept override;

  [[nodiscard]] bool alive() const noexcept override { return alive_; }

  // -- beyond the interface ------------------------------------------------------

  /// Looks whether NCCL or a peer has failed, which is then the communicator's
  /// end; the control actor asks from time to time, so that a rank that is
  /// between two operations learns of it too. While another thread is inside
  /// NCCL, NCCL is not asked; one that does not come out again is a failure
  /// (`comm_limits::call`). Any thread.
  [[nodiscard]] result<void> health() override;

  /// Collective: ranks of equal `color` get a communicator of their own, in
  /// which they stand in the order of `key`, then of their ranks here. A
  /// negative color: none, null.
  ///
  /// This communicator goes on; it and the new ones are used one at a time.
  [[nodiscard]] result<std::shared_ptr<nccl_communicator>>
  split(std::int32_t color, std::int32_t key, deadline until);

  /// For every survivor: the endpoint of a communicator without `excluded`,
  /// whose addresses the actors exchange as for any other. Its `connect` ends
  /// what this communicator still does, and this communicator. Also after a
  /// failure, if the settings kept it for that.
  ///
  /// `errc::unavailable` if NCCL cannot shrink, or not this one: it has ended,
  /// has an asynchronous error, or is in the middle of a call. The survivors
  /// make a new group instead (`make_endpoint`).
  [[nodiscard]] result<endpoint_ptr>
  shrink(const std::vector<rank_id>& excluded);

  /// `memory` is device memory of this device.
  [[nodiscard]] result<registered_memory>
  register_memory(std::span<std::byte> memory);

private:
  friend class registered_memory;
  friend class shrink_endpoint;

  enum class place : std::uint8_t { nowhere, host, device };

  /// Something to enqueue; several NCCL calls are one group.
  using enqueue = std::function<status(comm_handle)>;

  /// What an operation waits for besides the device.
  using watch = std::function<result<void>()>;

  /// Runs `f` unless the communicator is dead, and lets it die of an error.
  template <class F>
  auto run(const char* name, F f) -> decltype(f()) {
    if (auto good = wanted(); !good)
      return fail(good.error());
    auto here = cuda::device_guard::enter(*config_.runtime, config_.device);
    if (!here)
      return fail(die(here.error().within(name)));
    auto done = f();
    if (done)
      return done;
    auto cause = die(done.error().within(name));
    await_end();
    return fail(std::move(cause));
  }

  error die(error what);

  /// Whether NCCL would shrink this one now.
  [[nodiscard]] result<void> shrinkable();

  /// What the device says if it cannot be used any more.
  [[nodiscard]] std::optional<error> end_of_device() const;

  [[nodiscard]] result<void> wanted() const;

  /// After a failure: waits until NCCL has let go, if it shall, and for what is
  /// left on the stream.
  void await_end() noexcept;

  void drain() noexcept;

  [[nodiscard]] result<place> place_of(std::span<const std::byte> x) const;

  /// Of both; `errc::invalid` if they differ.
  [[nodiscard]] result<place> place_of(std::span<const std::byte> x,
                                       std::span<const std::byte> y) const;

  [[nodiscard]] result<void> check_peer(rank_id peer) const;

  /// Enqueues, and waits until NCCL has put it on the stream.
  [[nodiscard]] result<void> launch(const char* name, const watch& peers,
                                    deadline until, const enqueue& f);

  /// Waits until the stream is through.
  [[nodiscard]] result<void> finish(const watch& peers, deadline until);

  /// Waits until NCCL has nothing in progress.
  [[nodiscard]] result<void> settle(const char* name, const watch& peers,
                                    deadline until);

  /// Begins a collective: what its waits look at.
  [[nodiscard]] watch next_collective();

  /// The next message that `peer` has for us.
  [[nodiscard]] result<message_header> await_header(rank_id peer,
                                                    deadline until);

  /// A collective on `in` and `out`: `staged` for host memory, `direct` is
  /// enqueued for device memory.
  template <class Staged, class Direct>
  [[nodiscard]] result<void>
  collective(const char* name, std::span<const std::byte> in,
             std::span<const std::byte> out, deadline until, Staged staged,
             Direct direct);

  // -- host memory (staged.cpp) --------------------------------------------------

  [[nodiscard]] result<void> staged_send(std::span<const std::byte> data,
                                         rank_id peer, const watch& peers,
                                         deadline until);
  [[nodiscard]] result<void> staged_recv(std::span<std::byte> data,
                                         rank_id peer, const watch& peers,
                                         deadline until);
  [[nodiscard]] result<void> staged_broadcast(std::span<std::byte> data,
                                              rank_id root, const watch& peers,
                                              deadline until);
  [[nodiscard]] result<void> staged_gather(std::span<const std::byte> in,
                                           std::span<std::byte> out,
                                           const watch& peers, deadline until);
  [[nodiscard]] result<void> staged_scatter(std::span<const std::byte> in,
                                            std::span<std::byte> out,
                                            dtype type, reduce_op op,
                                            const watch& peers, deadline until);
  [[nodiscard]] result<void> staged_reduce(std::span<std::byte> data,
                                           dtype type, reduce_op op,
                                           const watch& peers, deadline until);

  /// Gathers so many bytes of every rank's outgoing pinned chunk in the incoming
  /// one.
  [[nodiscard]] result<void> gather_chunk(std::size_t bytes, const watch& peers,
                                          deadline until);

  /// Block r of the outgoing chunk goes to rank r; what rank s sent us becomes
  /// block s of the incoming pinned chunk.
  [[nodiscard]] result<void>
  exchange_blocks(std::size_t bytes, const watch& peers, deadline until);

  /// Reduces the incoming pinned chunk's blocks, in rank order, into `out`.
  void combine_blocks(std::size_t bytes, dtype type, reduce_op op,
                      std::byte* out);

  /// How much of each rank's block goes over at a time.
  [[nodiscard]] std::size_t block_bytes() const noexcept;

  void deregister(registration_handle what) noexcept;

  const settings config_;
  const rank_id rank_;
  const std::int32_t size_;
  const std::unique_ptr<sideband> peers_;
  std::unique_ptr<staging> staging_;
  const std::unique_ptr<owned_comm> comm_;
  const std::string name_;
  std::uint64_t collectives_ = 0;
  std::vector<std::uint64_t> sent_;
  std::vector<std::uint64_t> received_;
  std::vector<std::byte> wide_;
  std::atomic<bool> alive_{true};
  mutable std::mutex mutex_;
  std::optional<error> cause_;
};

} // namespace troupe::comm::nccl
