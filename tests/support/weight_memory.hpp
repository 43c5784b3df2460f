// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "troupe/core/transfer_plan.hpp"
#include "troupe/core/weight_layout.hpp"

// A sync done by the letter of the headers, element by element, with nothing
// of the planner and nothing of an executor: what both are compared with.

namespace troupe::test {

/// The bytes of every stored tensor of one rank, in the rank's order.
using rank_memory = std::vector<std::vector<std::byte>>;

/// By position in the layout.
using layout_memory = std::vector<rank_memory>;

/// Position in a stored tensor of every element of a segment's box, in
/// row-major order of the box.
[[nodiscard]] std::vector<std::int64_t>
element_positions(const stored_tensor& tensor, const weight_segment& segment);

/// Logical coordinates of every element of a box, in row-major order.
[[nodiscard]] std::vector<std::vector<std::int64_t>> elements_of(const box& x);

/// Memory in which every byte is `filler`.
[[nodiscard]] layout_memory make_memory(const weight_layout& layout,
                                        std::byte filler);

/// Writes the weights into the memory: the element at given coordinates of a
/// tensor has the same value wherever it is stored, rounded to the type there.
/// What no segment names stays.
void write_weights(const weight_layout& layout, std::uint64_t seed,
                   layout_memory& memory);

/// What the destination's memory must be after a sync: elements that a source
/// rank holds are those of the source, by way of the widest type there; all
/// others are what they were.
[[nodiscard]] layout_memory expected_memory(const weight_layout& source,
                                            const layout_memory& source_memory,
                                            const weight_layout& destination,
                                            layout_memory before);

/// Bytes that any sync must move: every element that a destination rank stores
/// and a source rank holds, once a rank, in the smaller type.
[[nodiscard]] std::uint64_t naive_lower_bound(const weight_layout& source,
                                              const weight_layout& destination);

/// What running programs moved, or what is wrong with them.
struct naive_traffic {
  std::map<link_kind, std::uint64_t> bytes;
  /// By source rank.
  std::map<rank_id, std::uint64_t> sent;
  std::vector<std::string> problems;
};

/// Runs the programs of all ranks: packs every part at its source, unpacks it
/// at its destination. `bucket_bytes` is the bound that buckets must keep.
[[nodiscard]] naive_traffic
run_programs(const std::vector<rank_program>& sources,
             const weight_layout& source, const layout_memory& source_memory,
             const std::vector<rank_program>& destinations,
             const weight_layout& destination,
             layout_memory& destination_memory, std::uint64_t bucket_bytes);

} // namespace troupe::test
