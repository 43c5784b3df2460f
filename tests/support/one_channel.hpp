// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "troupe/core/transfer_plan.hpp"

namespace troupe::test {

/// Either end of a channel that moves the first tensor of a rank, `elements`
/// float32, in one bucket.
inline program_channel one_channel(std::uint64_t elements) {
  auto bytes = elements * sizeof(float);
  program_part part;
  part.wire_bytes = bytes;
  part.run_elements = elements;
  program_channel out;
  out.buckets.push_back({dtype::float32, bytes, {part}});
  return out;
}

/// The program of a rank that sends so, to one other.
inline rank_program sending(std::uint64_t elements) {
  rank_program out;
  out.sends = {one_channel(elements)};
  return out;
}

/// Likewise of the other one.
inline rank_program receiving(std::uint64_t elements) {
  rank_program out;
  out.receives = {one_channel(elements)};
  return out;
}

} // namespace troupe::test
