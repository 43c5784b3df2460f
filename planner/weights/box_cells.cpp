// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/weights/box_cells.hpp"

#include <algorithm>

namespace troupe::planner::weights {

namespace {

/// Fewer boxes are looked at one by one.
constexpr std::size_t few = 12;

/// The box that both are, side by side; nothing if they are none.
std::optional<box> join(const box& a, const box& b) {
  if (a.dims() != b.dims())
    return std::nullopt;
  std::optional<std::size_t> dim;
  for (std::size_t i = 0; i < a.dims(); ++i) {
    if (a[i] == b[i])
      continue;
    if (dim || (a[i].end != b[i].begin && b[i].end != a[i].begin))
      return std::nullopt;
    dim = i;
  }
  if (!dim)
    return std::nullopt;
  return a.part(*dim, {std::min(a[*dim].begin, b[*dim].begin),
                       std::max(a[*dim].end, b[*dim].end)});
}

} // namespace

void cell_cutter::cut(const box& where, std::span<const box> boxes,
                      const visitor& visit) {
  if (where.empty())
    return;
  stack_.clear();
  for (std::uint32_t i = 0; i < boxes.size(); ++i)
    if (boxes[i].intersection(where))
      stack_.push_back(i);
  descend(where, boxes, 0, visit);
}

void cell_cutter::descend(const box& where, std::span<const box> boxes,
                          std::size_t first, const visitor& visit) {
  auto border = choose(where, boxes, first);
  auto last = stack_.size();
  if (!border) {
    visit(where, std::span{stack_}.subspan(first));
    return;
  }
  auto [dim, at] = *border;
  const box halves[] = {where.part(dim, {where[dim].begin, at}),
                        where.part(dim, {at, where[dim].end})};
  for (const auto& half : halves) {
    for (auto i = first; i < last; ++i)
      if (boxes[stack_[i]].intersection(half))
        stack_.push_back(stack_[i]);
    descend(half, boxes, last, visit);
    stack_.resize(last);
  }
}

/// The border in the middle of those of one dimension, of the dimension where
/// it cuts the fewest boxes in two.
std::optional<cell_cutter::border>
cell_cutter::choose(const box& where, std::span<const box> boxes,
                    std::size_t first) {
  std::optional<border> best;
  std::size_t fewest = 0;
  for (std::size_t dim = 0; dim < where.dims(); ++dim) {
    borders_.clear();
    for (auto i = first; i < stack_.size(); ++i) {
      const auto& x = boxes[stack_[i]][dim];
      for (auto at : {x.begin, x.end})
        if (at > where[dim].begin && at < where[dim].end)
          borders_.push_back(at);
    }
    if (borders_.empty())
      continue;
    auto middle = borders_.begin()
                  + static_cast<std::ptrdiff_t>(borders_.size() / 2);
    std::nth_element(borders_.begin(), middle, borders_.end());
    std::size_t crossed = 0;
    for (auto i = first; i < stack_.size(); ++i) {
      const auto& x = boxes[stack_[i]][dim];
      crossed += x.begin < *middle && *middle < x.end ? 1 : 0;
    }
    if (!best || crossed < fewest) {
      best = border{dim, *middle};
      fewest = crossed;
    }
  }
  return best;
}

void box_finder::reset(std::span<const box> boxes) {
  boxes_ = boxes;
  order_.clear();
  furthest_.clear();
  if (boxes.size() <= few)
    return;
  std::size_t most = 0;
  auto dims = boxes.front().dims();
  for (const auto& x : boxes)
    dims = std::min(dims, x.dims());
  if (dims == 0)
    return;
  for (std::size_t dim = 0; dim < dims; ++dim) {
    begins_.clear();
    for (const auto& x : boxes)
      begins_.push_back(x[dim].begin);
    std::sort(begins_.begin(), begins_.end());
    auto distinct = static_cast<std::size_t>(
      std::unique(begins_.begin(), begins_.end()) - begins_.begin());
    if (distinct > most) {
      most = distinct;
      dim_ = dim;
    }
  }
  order_.resize(boxes.size());
  for (std::uint32_t i = 0; i < order_.size(); ++i)
    order_[i] = i;
  std::sort(order_.begin(), order_.end(), [&](auto a, auto b) {
    return boxes[a][dim_].begin < boxes[b][dim_].begin;
  });
  std::int64_t furthest = 0;
  for (auto i : order_) {
    furthest = std::max(furthest, boxes[i][dim_].end);
    furthest_.push_back(furthest);
  }
}

std::size_t box_finder::first_behind(const box& where) const noexcept {
  if (where.dims() <= dim_)
    return 0;
  auto at = std::partition_point(order_.begin(), order_.end(), [&](auto i) {
    return boxes_[i][dim_].begin < where[dim_].end;
  });
  return static_cast<std::size_t>(at - order_.begin());
}

bool box_finder::reaches(std::size_t i, const box& where) const noexcept {
  return furthest_[i] > where[dim_].begin;
}

std::vector<box> joined(std::vector<box> boxes, std::size_t limit) {
  if (boxes.size() > limit)
    return boxes;
  for (std::size_t i = 0; i < boxes.size(); ++i)
    for (std::size_t j = i + 1; j < boxes.size(); ++j)
      if (auto both = join(boxes[i], boxes[j])) {
        boxes[i] = *both;
        boxes.erase(boxes.begin() + static_cast<std::ptrdiff_t>(j));
        return joined(std::move(boxes), limit);
      }
  return boxes;
}

} // namespace troupe::planner::weights
