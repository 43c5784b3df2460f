// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "troupe/core/box.hpp"

namespace troupe::planner::weights {

/// Cuts a box into cells along the borders of other boxes: each of them covers
/// all of a cell or nothing of it. Keeps its memory between calls; one thread.
class cell_cutter {
public:
  /// A cell and the positions of the boxes that cover it, ascending.
  using visitor = std::function<void(const box& cell,
                                     std::span<const std::uint32_t>)>;

  /// Visits the cells of `where`, which together are `where`, in row-major
  /// order of the cuts. Boxes of other dimensions cover nothing.
  /// O(k log k) for k boxes that lie like a grid.
  void cut(const box& where, std::span<const box> boxes, const visitor& visit);

private:
  struct border {
    std::size_t dim = 0;
    std::int64_t at = 0;
  };

  void descend(const box& where, std::span<const box> boxes, std::size_t first,
               const visitor& visit);
  std::optional<border> choose(const box& where, std::span<const box> boxes,
                               std::size_t first);

  /// Positions of the boxes that matter, a run for each level of the descent.
  std::vector<std::uint32_t> stack_;
  std::vector<std::int64_t> borders_;
};

/// Finds the boxes that meet a box without looking at all of them: sorted along
/// the dimension that tells them apart best.
class box_finder {
public:
  /// Borrows `boxes` until the next call.
  void reset(std::span<const box> boxes);

  /// Calls `found(position)` for every box that has an element in common with
  /// `where`, in no particular order.
  template <class Found>
  void find(const box& where, Found&& found) const {
    if (order_.empty()) {
      for (std::uint32_t i = 0; i < boxes_.size(); ++i)
        if (boxes_[i].intersection(where))
          found(i);
      return;
    }
    for (auto i = first_behind(where); i-- > 0 && reaches(i, where);)
      if (boxes_[order_[i]].intersection(where))
        found(order_[i]);
  }

private:
  [[nodiscard]] std::size_t first_behind(const box& where) const noexcept;
  [[nodiscard]] bool reaches(std::size_t i, const box& where) const noexcept;

  std::span<const box> boxes_;
  std::size_t dim_ = 0;
  /// Positions by begin; empty if there are few boxes.
  std::vector<std::uint32_t> order_;
  /// The furthest end among the first boxes of `order_`.
  std::vector<std::int64_t> furthest_;
  std::vector<std::int64_t> begins_;
};

/// Joins boxes that lie side by side, where two are a box again, until no two
/// are: for people. O(n^3), so more than `limit` boxes are left alone.
[[nodiscard]] std::vector<box> joined(std::vector<box> boxes,
                                      std::size_t limit = 64);

} // namespace troupe::planner::weights
