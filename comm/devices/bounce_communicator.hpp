// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "troupe/comm/communicator.hpp"
#include "troupe/comm/cuda/runtime.hpp"
#include "troupe/comm/devices/bounce_line.hpp"

namespace troupe::comm::devices {

/// Lets a communicator that knows memory of processes only take a device's:
/// what lies there is brought to pinned memory before an operation, and what
/// the operation has written goes back behind it.
///
/// For ranks that share a device, which NCCL refuses to join, and for groups of
/// which not all ranks have a device of their own.
///
/// Long operations go piece by piece, so that little memory is pinned whatever
/// the tensors are; all ranks cut alike, wherever their memory lies. So every
/// rank of a group has one of these.
///
/// Unlike other communicators it cannot take memory back from a device that
/// hangs: what an operation was given stays borrowed until the communicator is
/// gone if that operation has failed while bytes went to or from the device.
class bounce_communicator final : public communicator {
public:
  [[nodiscard]] static result<communicator_ptr>
  make(communicator_ptr inner, cuda::runtime_ptr runtime, std::int32_t device);

  [[nodiscard]] rank_id rank() const noexcept override;

  [[nodiscard]] std::int32_t size() const noexcept override;

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

  [[nodiscard]] bool alive() const noexcept override;

  [[nodiscard]] result<void> health() override;

private:
  /// The blocks of the line that stand for a span of the device's, one for what
  /// is read and one for what is written.
  enum block : std::size_t { reading = 0, writing = 1 };

  bounce_communicator(communicator_ptr inner, cuda::runtime_ptr runtime,
                      bounce_line line);

  [[nodiscard]] result<bool> on_device(std::span<const std::byte> data) const;

  /// Runs an operation unless the group is dead. A failure that is ours kills
  /// it, as one of `inner_` does.
  template <class F>
  result<void> run(F f);

  /// Calls `f` with what may be read in place of `in`.
  template <class F>
  result<void> with_input(std::span<const std::byte> in, deadline until, F f);

  /// Calls `f` with what may be written in place of `out`, which holds what
  /// `out` holds if `filled`.
  template <class F>
  result<void> with_output(std::span<std::byte> out, bool filled,
                           deadline until, F f);

  /// How much of each rank's block a piece of a gather or scatter has.
  [[nodiscard]] std::size_t block_piece() const noexcept;

  /// Between a block of the line and what the caller handed over, wherever that
  /// lies.
  [[nodiscard]] result<void> copy(bool device, void* to, const void* from,
                                  std::size_t bytes, deadline until);

  [[nodiscard]] result<void> gather_pieces(std::span<const std::byte> in,
                                           std::span<std::byte> out,
                                           deadline until);

  [[nodiscard]] result<void> scatter_pieces(std::span<const std::byte> in,
                                            std::span<std::byte> out,
                                            dtype type, reduce_op op,
                                            deadline until);

  [[nodiscard]] result<void> move(void* to, const void* from, std::size_t bytes,
                                  deadline until);

  communicator_ptr inner_;
  cuda::runtime_ptr runtime_;
  bounce_line line_;
  /// Ends waits for the device.
  std::atomic<bool> aborted_ = false;
  /// What killed the group, if it was no operation of `inner_`.
  std::optional<error> cause_;
};

} // namespace troupe::comm::devices
