// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "troupe/core/box.hpp"

namespace troupe::planner::weights {

/// A box that some destinations need.
struct level_item {
  box where;
  std::uint64_t element_bytes = 1;
  std::size_t destinations = 0;
};

/// Spreads boxes over source ranks so that the one that sends most sends as
/// little as possible. One thread.
class load_leveler {
public:
  /// Source rank `source` gives `where`, a part of item `item`, to the
  /// destinations [first, first + count) of it.
  using visitor = std::function<void(std::uint32_t source, std::size_t item,
                                     const box& where, std::size_t first,
                                     std::size_t count)>;

  explicit load_leveler(std::size_t num_sources) : loads_(num_sources, 0) {
    // nop
  }

  /// Any of `candidates`, which are not empty, can give every item.
  ///
  /// McNaughton's rule: the level to which the candidates' loads rise together
  /// is known beforehand; each is filled up to it with items in turn, and an
  /// item that does not fit is cut, first between its destinations, then
  /// across its outermost dimensions. At most candidates - 1 items are cut.
  /// Optimal, up to a few parts in 64, if the sets of candidates contain or
  /// exclude each other and the smaller come first.
  /// O(items + candidates log candidates).
  void assign(std::span<const std::uint32_t> candidates,
              std::span<const level_item> items, const visitor& visit);

  /// Bytes that each source sends so far.
  [[nodiscard]] const std::vector<std::uint64_t>& loads() const noexcept {
    return loads_;
  }

private:
  class filler;

  std::vector<std::uint64_t> loads_;
};

} // namespace troupe::planner::weights
