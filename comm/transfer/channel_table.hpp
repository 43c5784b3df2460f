// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "troupe/comm/transfer/channel.hpp"
#include "troupe/core/codec.hpp"

namespace troupe::comm::transfer {

/// How the bytes of a bucket reach the receiver.
enum class bucket_kind : std::uint8_t {
  /// Messages of the link.
  stream = 1,
  /// The receiver reads the sender's tensors.
  in_place = 2,
  /// The sender packs into memory that the receiver reads: the wire's bytes,
  /// padded to a whole word, and behind them their digest.
  staged = 3,
};

/// What the sender tells of a bucket.
struct bucket_source {
  bucket_kind kind = bucket_kind::stream;
  /// Of `staged`: where it is packed.
  window staged;
};

/// Bytes of the digest behind a staged bucket.
inline constexpr std::uint64_t staged_digest_bytes = 16;

/// Where that digest stands.
[[nodiscard]] constexpr std::uint64_t
staged_digest_at(std::uint64_t wire_bytes) noexcept {
  return (wire_bytes + 7) / 8 * 8;
}

/// What the receiver finds of a bucket, checked against the sender's memory.
struct remote_bucket {
  bucket_kind kind = bucket_kind::stream;
  /// Of `staged`: wire bytes and digest.
  std::span<const std::byte> staged;
  /// Of `in_place`: each part's region in the sender's tensor.
  std::vector<region> parts;
};

/// What the receiver has learnt of a channel.
struct remote_channel {
  std::vector<remote_bucket> buckets;
  /// What the regions' loops refer to.
  std::vector<std::vector<memory_loop>> loops;
};

/// The sender's table of a channel: what is in each bucket, so that the
/// receiver can see that both mean the same, and where it stands.
[[nodiscard]] result<bytes>
encode_table(const channel& what, const std::vector<bucket_source>& sources,
             bool digests);

/// An upper bound on such a table for `what`, by what the receiver knows.
[[nodiscard]] std::uint64_t table_bytes_max(const channel& what) noexcept;

/// Reads the peer's table. Nothing in it is trusted. Fails with
/// `errc::invalid`, naming the tensor, if the peer means something else than
/// we do, and with `errc::corrupt` if it is malformed or names memory that the
/// peer has not shared.
[[nodiscard]] result<remote_channel>
decode_table(std::span<const std::byte> table, const channel& what,
             bool digests);

} // namespace troupe::comm::transfer
