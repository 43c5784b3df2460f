// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "troupe/comm/communicator.hpp"
#include "troupe/comm/options.hpp"
#include "troupe/comm/transport.hpp"

namespace troupe::comm {

/// The collective algorithms, written once over point-to-point messages.
/// With P ranks, S bytes and w = (wide size / element size), one rank sends:
///
///   broadcast       binomial tree           log2 P steps, <= S log2 P bytes
///   all_gather      ring                    P-1 steps, S (P-1) bytes
///   reduce_scatter  ring                    P-1 steps, w S (P-1) / P bytes
///   all_reduce      reduce_scatter, then    2 (P-1) steps,
///                   all_gather              (1+w) S (P-1) / P bytes
///     up to tree_bytes: reduce to rank 0    2 log2 P steps,
///                   and broadcast           <= (1+w) S log2 P bytes
///   barrier         dissemination           log2 P empty messages
///
/// Every element is reduced in an order that depends only on P, its position
/// and the size, at one place, and copied from there: ranks cannot differ.
///
/// Arguments are checked by the caller. After a failure nothing of the caller's
/// memory is borrowed any more, and the object must not be used again.
class collectives {
public:
  /// `carrier` must outlive this object.
  collectives(transport& carrier, const collective_options& options);

  [[nodiscard]] result<void> broadcast(std::span<std::byte> data, rank_id root,
                                       deadline until);

  [[nodiscard]] result<void> all_reduce(std::span<std::byte> data, dtype type,
                                        reduce_op op, deadline until);

  /// `in` may be this rank's own block of `out`.
  [[nodiscard]] result<void> all_gather(std::span<const std::byte> in,
                                        std::span<std::byte> out,
                                        deadline until);

  /// `out` may be this rank's own block of `in`.
  [[nodiscard]] result<void> reduce_scatter(std::span<const std::byte> in,
                                            std::span<std::byte> out,
                                            dtype type, reduce_op op,
                                            deadline until);

  [[nodiscard]] result<void> barrier(deadline until);

private:
  struct partition;

  /// Where block `b` of the data of a ring starts and how long it is.
  template <class Byte>
  std::span<Byte> block(std::span<Byte> data, const partition& parts,
                        std::int32_t b) const;

  std::int32_t wrap(std::int32_t rank) const noexcept;

  result<void> ring_reduce(std::span<const std::byte> in,
                           const partition& parts, std::span<std::byte> out,
                           dtype type, reduce_op op, deadline until);

  result<void> ring_gather(std::span<std::byte> data, const partition& parts,
                           deadline until);

  result<void> tree_reduce(std::span<std::byte> data, dtype type, reduce_op op,
                           deadline until);

  /// Sends `out` to `to` while receiving `in` from `from`, and calls
  /// `arrived(offset, bytes)` for every segment of `in`.
  template <class F>
  result<void> exchange(std::span<const std::byte> out, std::int32_t to,
                        std::span<std::byte> in, std::int32_t from,
                        deadline until, F arrived);

  std::size_t segments(std::size_t bytes) const noexcept;

  template <class Byte>
  std::span<Byte> segment(std::span<Byte> data, std::size_t index) const;

  void next_channel() noexcept;

  transport& carrier_;
  std::size_t segment_bytes_;
  std::size_t tree_bytes_;
  std::int32_t rank_;
  std::int32_t size_;
  std::uint32_t sequence_ = 0;
  channel through_ = channel::collective(0);
  // Partial results in the wide type; kept so that steps do not allocate.
  std::vector<std::byte> sending_;
  std::vector<std::byte> arriving_;
};

} // namespace troupe::comm
