// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "troupe/core/batch.hpp"
#include "troupe/core/error.hpp"
#include "troupe/core/ids.hpp"

namespace troupe::process {

/// Rows [row_begin, row_end) of a batch that lies in some process's store, or,
/// if it is small, in this struct itself. What messages carry instead of a
/// batch. Nothing in it is trusted.
struct batch_part {
  /// Whose store holds the batch.
  node_id node = node_id{0};
  std::int32_t slot = 0;
  troupe::incarnation incarnation;

  /// 0: the batch is in `payload`.
  buffer_id buffer;

  std::int64_t row_begin = 0;
  std::int64_t row_end = 0;
  std::int64_t rows_total = 0;

  /// Size of the whole encoded batch.
  std::uint64_t bytes = 0;

  /// The encoded batch if it is at most `batch_store::inline_bytes_max`.
  std::vector<std::uint8_t> payload;

  /// The weights that produced the rows.
  weight_version version;

  [[nodiscard]] bool is_inline() const noexcept {
    return buffer == buffer_id{};
  }

  [[nodiscard]] std::int64_t rows() const noexcept {
    return row_end - row_begin;
  }

  /// The rows and sizes make sense.
  [[nodiscard]] result<void> check() const;

  bool operator==(const batch_part&) const = default;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, batch_part& x) {
    return f(x.node, x.slot, x.incarnation, x.buffer, x.row_begin, x.row_end,
             x.rows_total, x.bytes, x.payload, x.version);
  }
};

/// Parts one below the other: a batch by reference.
struct batch_ref {
  std::vector<batch_part> parts;

  [[nodiscard]] std::int64_t rows() const noexcept;

  /// Bytes that travel inside a message with this reference.
  [[nodiscard]] std::uint64_t inline_bytes() const noexcept;

  /// Rows [begin, end). Fails with `errc::invalid` outside of the rows.
  [[nodiscard]] result<batch_ref> slice(std::int64_t begin,
                                        std::int64_t end) const;

  /// Cuts into `n` references whose rows differ by at most one, the larger
  /// ones first, as `batch::split` does.
  [[nodiscard]] result<std::vector<batch_ref>> split(std::size_t n) const;

  /// The parts of all, in order; moves nothing but references.
  [[nodiscard]] static batch_ref concat(std::span<const batch_ref> xs);

  bool operator==(const batch_ref&) const = default;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, batch_ref& x) {
    return f(x.parts);
  }
};

struct row_range {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

/// `rows` rows in `n` ranges whose sizes differ by at most one, the larger ones
/// first. `n` is at least 1.
[[nodiscard]] std::vector<row_range> split_rows(std::int64_t rows,
                                                std::size_t n);

/// Rows [begin, end) of every tensor, with the metadata; shares the bytes.
/// Fails with `errc::invalid` outside of the rows.
[[nodiscard]] result<batch> slice_rows(const batch& x, std::int64_t begin,
                                       std::int64_t end);

} // namespace troupe::process
