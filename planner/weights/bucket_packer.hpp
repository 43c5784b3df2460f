// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "troupe/core/transfer_plan.hpp"
#include "troupe/planner/weights/rank_places.hpp"

namespace troupe::planner::weights {

/// A box on its way from one place to one or more of another rank.
struct routed_box {
  box where;
  dtype wire_type = dtype::float32;
  stored_place from;
  /// Where the destination stores it; at least one.
  std::vector<stored_place> to;
};

/// Fills the buckets of one channel at both ends.
class bucket_packer {
public:
  /// `bucket_bytes` is at least the size of an element, and a multiple of 8.
  bucket_packer(rank_id source, std::uint64_t bucket_bytes,
                program_channel& sends, program_channel& receives)
    : sends_(sends),
      receives_(receives),
      bucket_bytes_(bucket_bytes),
      next_key_(static_cast<std::uint64_t>(source.value()) << 32) {
    // nop
  }

  void add(const routed_box& x);

private:
  void add_cut(const routed_box& x, const box& where);
  bool extend(const routed_box& x, const program_part& from,
              const program_part& to);
  void append(const routed_box& x, program_part from,
              const std::vector<program_part>& to);

  program_channel& sends_;
  program_channel& receives_;
  std::uint64_t bucket_bytes_;
  std::uint64_t next_key_;
};

} // namespace troupe::planner::weights
