// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "troupe/core/box.hpp"
#include "troupe/core/dtype.hpp"
#include "troupe/planner/weights/flat_index.hpp"
#include "troupe/planner/weights/shared_layout.hpp"

namespace troupe::planner::weights {

/// Numbers names, from 0 on. The names must outlive it.
class name_table {
public:
  std::uint32_t add(std::string_view name);

  /// The number, or `flat_index::none`.
  [[nodiscard]] std::uint32_t find(std::string_view name) const;

  [[nodiscard]] std::string_view operator[](std::uint32_t i) const noexcept {
    return names_[i];
  }

  [[nodiscard]] std::size_t size() const noexcept { return names_.size(); }

private:
  std::vector<std::string_view> names_;
  flat_index index_;
};

/// Numbers sets of ranks: many boxes are held by the same ones. Ranks are
/// positions in a layout.
class rank_sets {
public:
  using ranks = std::span<const std::uint32_t>;

  /// `x` is ascending, without repetitions.
  std::uint32_t add(ranks x);

  /// The set of all ranks of both.
  std::uint32_t unite(std::uint32_t a, std::uint32_t b);

  /// Valid until the next call that adds.
  [[nodiscard]] ranks operator[](std::uint32_t i) const noexcept {
    return ranks{ranks_}.subspan(begin_[i], begin_[i + 1] - begin_[i]);
  }

  [[nodiscard]] bool disjoint(std::uint32_t a, std::uint32_t b) const noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return begin_.size() - 1; }

private:
  std::vector<std::uint32_t> ranks_;
  std::vector<std::size_t> begin_{0};
  flat_index index_;
};

/// A region of a logical tensor, and who holds it in which type.
struct held_box {
  box where;
  dtype type = dtype::float32;
  /// A number in the index's `sets`.
  std::uint32_t holders = 0;
};

/// What a layout holds of each logical tensor. Equal regions of equal type are
/// one entry, whatever number of ranks and stored tensors they lie in; empty
/// ones are left out.
class layout_index {
public:
  /// Adds the layout's logical names to `names`, which, like the layout, must
  /// outlive the index. O(segments of all parts + ranks that hold each box).
  layout_index(const shared_layout& layout, name_table& names);

  /// In the order of the layout's parts. Empty for a tensor it does not know.
  [[nodiscard]] std::span<const held_box> of(std::uint32_t logical) const;

  [[nodiscard]] rank_sets& sets() noexcept { return sets_; }

  [[nodiscard]] const rank_sets& sets() const noexcept { return sets_; }

private:
  struct entries;

  void number_holders(const shared_layout& layout, const entries& found);

  std::vector<held_box> boxes_;
  /// The first box of each logical tensor.
  std::vector<std::uint32_t> begin_;
  rank_sets sets_;
};

} // namespace troupe::planner::weights
