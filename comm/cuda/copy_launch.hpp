// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "troupe/core/digest.hpp"
#include "troupe/core/dtype.hpp"
#include "troupe/core/transfer_plan.hpp"

namespace troupe::comm::cuda {

/// Divides by a number that was known before (`make_divider`, copy_tables.hpp):
/// `x / n` is the upper half of `x * magic`, moved `shift` to the right.
struct divider {
  /// 0: the divisor is 1.
  std::uint64_t magic = 0;
  std::uint64_t shift = 0;
};

/// Elements that stand in device memory as runs (comm/transfer/region.hpp),
/// in a form that a kernel reads.
struct device_region {
  std::byte* first = nullptr;
  std::uint64_t run_elements = 0;
  /// Elements of the region that stand before the part's first: a part may be
  /// a piece of a region.
  std::uint64_t skip = 0;
  /// By the bytes of a run.
  divider run;
  /// In the launch's tables of loops and dividers. None: one run.
  std::uint32_t loops_begin = 0;
  std::uint16_t loops = 0;
  /// A power of two, 16 at most: so many bytes follow each other wherever the
  /// region is cut into pieces of so many, and all such pieces are aligned.
  std::uint8_t unit = 1;
  dtype type = dtype::float32;
};

/// A part of a launch: `to` is written from `from`.
struct device_part {
  /// Not looked at by launches that write nothing.
  device_region to;
  device_region from;
  std::uint64_t elements = 0;
  /// `x` of the part's first word, in the terms of core/digest.hpp.
  std::uint64_t digest_start = 0;
  /// The number of its first tile; parts follow each other without gaps, and
  /// every part has at least one element.
  std::uint64_t first_tile = 0;
  /// Which of the launch's sums gets its digest.
  std::uint64_t sum = 0;
};

/// Elements of a tile, of which a thread block takes one at a time. A multiple
/// of 16, so that every tile begins with whole vectors and with a whole word of
/// the digest.
inline constexpr std::uint64_t tile_elements = 8192;

/// One launch: all parts of a bucket, or of several. Parts are worked on at the
/// same time and in no order. The tables lie where the device can read them,
/// device or pinned memory, and stay unchanged until the launch is done. Made by
/// `copy_tables`.
struct copy_launch {
  const device_part* parts = nullptr;
  std::uint32_t part_count = 0;
  const memory_loop* loops = nullptr;
  /// Of each loop: by its count.
  const divider* dividers = nullptr;
  std::uint64_t tiles = 0;
  /// Elements pass through this type, and the digest is of its bytes.
  dtype wire_type = dtype::float32;
  /// True if some part has elements that change their type.
  bool converts = false;
  /// False: nothing is written, the digest is taken alone.
  bool writes = true;
  /// Device or pinned memory; what a part digests is added to
  /// `sums[part.sum]`. Null: no digest.
  digest* sums = nullptr;
};

} // namespace troupe::comm::cuda
