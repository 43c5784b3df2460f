// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/weights/flows.hpp"

#include <algorithm>
#include <map>

#include "troupe/planner/weights/box_cells.hpp"
#include "troupe/planner/weights/wire_type.hpp"

namespace troupe::planner::weights {

class flow_table::maker {
public:
  explicit maker(flow_table& out) : out_(out) {
    // nop
  }

  void run() {
    for (std::uint32_t i = 0; i < out_.num_destination_names_; ++i) {
      logical_ = i;
      held_ = out_.source_.of(i);
      held_boxes_.clear();
      for (const auto& x : held_)
        held_boxes_.push_back(x.where);
      held_finder_.reset(held_boxes_);
      auto needed = out_.destination_.of(i);
      if (tangled(needed))
        untangle(needed);
      else
        for (const auto& x : needed)
          feed(x);
    }
  }

private:
  /// Whether a rank stores an element twice.
  bool tangled(std::span<const held_box> needed) {
    if (needed.size() < 2)
      return false;
    needed_boxes_.clear();
    for (const auto& x : needed)
      needed_boxes_.push_back(x.where);
    needed_finder_.reset(needed_boxes_);
    const auto& sets = out_.destination_.sets();
    for (std::uint32_t i = 0; i < needed.size(); ++i) {
      auto found = false;
      needed_finder_.find(needed[i].where, [&](auto j) {
        found = found
                || (i != j
                    && !sets.disjoint(needed[i].holders, needed[j].holders));
      });
      if (found)
        return true;
    }
    return false;
  }

  /// Cuts what overlaps into cells that a rank stores all or nothing of; it
  /// receives a cell once, in the widest of its types.
  void untangle(std::span<const held_box> needed) {
    auto dims = needed.front().where.dims();
    for (const auto& x : needed)
      if (x.where.dims() != dims)
        return; // The verifier says so.
    auto around = needed.front().where;
    for (const auto& x : needed)
      for (std::size_t d = 0; d < dims; ++d)
        around = around.part(d, {std::min(around[d].begin, x.where[d].begin),
                                 std::max(around[d].end, x.where[d].end)});
    std::vector<held_box> cells;
    needed_cutter_.cut(around, needed_boxes_,
                       [&](const box& cell, std::span<const std::uint32_t> by) {
                         add_cells(cell, by, needed, cells);
                       });
    for (const auto& x : cells)
      feed(x);
  }

  void add_cells(const box& cell, std::span<const std::uint32_t> by,
                 std::span<const held_box> needed, std::vector<held_box>& out) {
    auto& sets = out_.destination_.sets();
    std::map<std::uint32_t, dtype> type_of;
    for (auto i : by)
      for (auto rank : sets[needed[i].holders]) {
        auto [at, added] = type_of.emplace(rank, needed[i].type);
        if (!added && convertible(at->second, needed[i].type))
          at->second = wider(at->second, needed[i].type);
      }
    std::map<dtype, std::vector<std::uint32_t>> ranks_of;
    for (const auto& [rank, type] : type_of)
      ranks_of[type].push_back(rank);
    for (const auto& [type, ranks] : ranks_of)
      out.push_back({cell, type, sets.add(ranks)});
  }

  /// Finds who can give `x`.
  void feed(const held_box& x) {
    meets_.clear();
    held_finder_.find(x.where, [&](auto i) {
      if (convertible(held_[i].type, x.type))
        meets_.push_back(i);
    });
    if (meets_.empty())
      return;
    if (meets_.size() == 1) {
      auto i = meets_.front();
      add(*held_[i].where.intersection(x.where), held_[i].holders,
          size_of(wire_type(held_[i].type, x.type)), x);
      return;
    }
    std::ranges::sort(meets_);
    meeting_.clear();
    for (auto i : meets_)
      meeting_.push_back(held_[i].where);
    cutter_.cut(x.where, meeting_,
                [&](const box& cell, std::span<const std::uint32_t> by) {
                  if (!by.empty())
                    choose(cell, by, x);
                });
  }

  /// Those of several ranks whose type loses the least.
  void choose(const box& cell, std::span<const std::uint32_t> by,
              const held_box& x) {
    std::size_t widest = 0;
    for (auto i : by)
      widest = std::max(widest,
                        size_of(wire_type(held_[meets_[i]].type, x.type)));
    auto holders = flat_index::none;
    for (auto i : by) {
      const auto& piece = held_[meets_[i]];
      if (size_of(wire_type(piece.type, x.type)) != widest)
        continue;
      holders = holders == flat_index::none
                  ? piece.holders
                  : out_.source_.sets().unite(holders, piece.holders);
    }
    add(cell, holders, widest, x);
  }

  void add(const box& where, std::uint32_t sources, std::size_t element_bytes,
           const held_box& x) {
    out_.flows_.push_back({logical_, where, sources, x.holders,
                           static_cast<std::uint32_t>(element_bytes)});
  }

  flow_table& out_;
  std::uint32_t logical_ = 0;
  std::span<const held_box> held_;
  std::vector<box> held_boxes_;
  std::vector<box> needed_boxes_;
  box_finder held_finder_;
  box_finder needed_finder_;
  /// Positions in `held_` that meet the box in question, and their boxes.
  std::vector<std::uint32_t> meets_;
  std::vector<box> meeting_;
  cell_cutter cutter_;
  cell_cutter needed_cutter_;
};

flow_table::flow_table(const shared_layout& source,
                       const shared_layout& destination)
  : destination_(destination, names_),
    num_destination_names_(static_cast<std::uint32_t>(names_.size())),
    source_(source, names_) {
  maker{*this}.run();
}

std::uint64_t lower_bound(const shared_layout& source,
                          const shared_layout& destination) {
  flow_table table{source, destination};
  std::uint64_t bytes = 0;
  for (const auto& x : table.flows())
    bytes += x.bytes() * table.destinations()[x.destinations].size();
  return bytes;
}

} // namespace troupe::planner::weights
