// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "troupe/core/deadline.hpp"
#include "troupe/core/dtype.hpp"
#include "troupe/core/error.hpp"
#include "troupe/core/ids.hpp"

namespace troupe::comm {

enum class reduce_op : std::uint8_t { sum, max, min };

/// A fixed group of ranks that move bytes among themselves.
///
/// Every rank calls the same operations in the same order. An operation blocks
/// until its part is done or `until` passes. After the first operation that
/// does not succeed the communicator is dead: every later call fails at once
/// with the first error, and the group must be rebuilt; it is never reused.
///
/// Threads: one thread at a time operates; `abort` may be called from any
/// thread at any time and wakes the operating thread at once.
///
/// Memory is borrowed for the duration of a call. Elements are `type`; sizes
/// are in bytes and must be multiples of the element size and equal on all
/// ranks where the operation needs it. bfloat16 is reduced in float32 and
/// rounded once at the end.
class communicator {
public:
  virtual ~communicator() = default;

  [[nodiscard]] virtual rank_id rank() const noexcept = 0;

  /// Number of ranks.
  [[nodiscard]] virtual std::int32_t size() const noexcept = 0;

  /// Sends `data` to `peer`. Matches the peer's `recv` from us with the same
  /// `tag`; the receiver must expect exactly this many bytes.
  [[nodiscard]] virtual result<void> send(std::span<const std::byte> data,
                                          rank_id peer, std::uint32_t tag,
                                          deadline until) = 0;

  [[nodiscard]] virtual result<void> recv(std::span<std::byte> data,
                                          rank_id peer, std::uint32_t tag,
                                          deadline until) = 0;

  /// Copies `data` of `root` to everybody's `data`.
  [[nodiscard]] virtual result<void>
  broadcast(std::span<std::byte> data, rank_id root, deadline until) = 0;

  /// Replaces everybody's `data` by the element-wise reduction, bit-identical
  /// on all ranks and reproducible for the same group size.
  [[nodiscard]] virtual result<void> all_reduce(std::span<std::byte> data,
                                                dtype type, reduce_op op,
                                                deadline until) = 0;

  /// `out` holds `size()` blocks of `in.size()` bytes in rank order.
  [[nodiscard]] virtual result<void> all_gather(std::span<const std::byte> in,
                                                std::span<std::byte> out,
                                                deadline until) = 0;

  /// `in` holds `size()` blocks of `out.size()` bytes; rank r gets the
  /// reduction of everybody's block r.
  [[nodiscard]] virtual result<void>
  reduce_scatter(std::span<const std::byte> in, std::span<std::byte> out,
                 dtype type, reduce_op op, deadline until) = 0;

  /// Returns once every rank has entered.
  [[nodiscard]] virtual result<void> barrier(deadline until) = 0;

  /// Kills the communicator: the operation in flight and all later ones fail
  /// with `errc::aborted`. Callable from any thread, any number of times.
  virtual void abort() noexcept = 0;

  /// False once an operation has failed or `abort` was called.
  [[nodiscard]] virtual bool alive() const noexcept = 0;

  /// Looks, without waiting, whether the group is still whole, also while no
  /// operation is under way. What it finds ends the group as a failed operation
  /// does. From any thread. Backends that hear of such things by themselves
  /// have nothing to look for.
  [[nodiscard]] virtual result<void> health() { return {}; }
};

using communicator_ptr = std::shared_ptr<communicator>;

} // namespace troupe::comm
