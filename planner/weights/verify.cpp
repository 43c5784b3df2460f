// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/weights/verify.hpp"

#include <algorithm>
#include <optional>
#include <string_view>
#include <unordered_map>

#include <fmt/format.h>

#include "troupe/planner/weights/box_cells.hpp"
#include "troupe/planner/weights/findings.hpp"
#include "troupe/planner/weights/layout_index.hpp"
#include "troupe/planner/weights/wire_type.hpp"

namespace troupe::planner::weights {

namespace {

class verifier {
public:
  verifier(const transfer_plan& plan, const shared_layout& source,
           const shared_layout& destination)
    : plan_(plan),
      source_(source),
      destination_(destination),
      needed_(destination, names_),
      held_(source, names_) {
    // nop
  }

  std::vector<std::string> run() {
    check_stored_twice();
    sort_transfers();
    for (logical_ = 0; logical_ < names_.size(); ++logical_)
      check_tensor();
    return found_.take(max_problems);
  }

private:
  /// A destination rank and a number: of a box that it needs or of a transfer
  /// that it gets.
  struct mark {
    std::uint32_t rank;
    std::uint32_t number;

    auto operator<=>(const mark&) const = default;
  };

  std::string name() const { return std::string{names_[logical_]}; }

  /// Segments of one stored tensor that claim the same element of it.
  void check_stored_twice() {
    for (std::uint32_t part = 0; part < destination_.parts().size(); ++part)
      for (const auto& tensor : destination_.parts()[part]) {
        if (tensor.segments.size() < 2)
          continue;
        boxes_.clear();
        for (const auto& x : tensor.segments)
          if (auto region = local_region(tensor, x))
            boxes_.push_back(*region);
        auto whole = box::whole(tensor.extents);
        if (!whole)
          continue;
        cutter_.cut(*whole, boxes_, [&](const box& cell, auto by) {
          if (by.size() > 1)
            report_stored_twice(part, tensor, cell, by);
        });
      }
  }

  void report_stored_twice(std::uint32_t part, const stored_tensor& tensor,
                           const box& cell, std::span<const std::uint32_t> by) {
    auto what = fmt::format("is written twice: by the segments '{}' {} and "
                            "'{}' {}",
                            tensor.segments[by[0]].logical,
                            to_string(tensor.segments[by[0]].where),
                            tensor.segments[by[1]].logical,
                            to_string(tensor.segments[by[1]].where));
    for (const auto& x : destination_.ranks())
      if (std::ranges::find(x.parts, part) != x.parts.end())
        found_.add(x.rank, fmt::format("stored tensor '{}'", tensor.name), cell,
                   what);
  }

  void sort_transfers() {
    std::vector<std::uint32_t> number_of;
    for (const auto& x : plan_.logical)
      number_of.push_back(names_.add(x));
    transfers_.resize(names_.size());
    for (std::uint32_t i = 0; i < plan_.transfers.size(); ++i) {
      auto logical = plan_.transfers[i].logical;
      if (logical < number_of.size())
        transfers_[number_of[logical]].push_back(i);
      else
        found_.add(fmt::format("transfer {} is of tensor {}, which the plan "
                               "does not name",
                               i, logical));
    }
  }

  const planned_transfer& transfer(const mark& x) const {
    return plan_.transfers[x.number];
  }

  void check_tensor() {
    auto needed = needed_.of(logical_);
    if (!needed.empty())
      check_dims();
    wanted_.clear();
    for (std::uint32_t i = 0; i < needed.size(); ++i)
      for (auto rank : needed_.sets()[needed[i].holders])
        wanted_.push_back({rank, i});
    std::ranges::sort(wanted_);
    arrived_.clear();
    if (!transfers_[logical_].empty())
      check_sources();
    std::ranges::sort(arrived_);
    auto want = wanted_.begin();
    auto come = arrived_.begin();
    while (want != wanted_.end() || come != arrived_.end()) {
      auto rank = want == wanted_.end()    ? come->rank
                  : come == arrived_.end() ? want->rank
                                           : std::min(want->rank, come->rank);
      auto of_rank = [&](const mark& x) { return x.rank == rank; };
      auto next_want = std::find_if_not(want, wanted_.end(), of_rank);
      auto next_come = std::find_if_not(come, arrived_.end(), of_rank);
      check_rank(rank, {want, next_want}, {come, next_come});
      want = next_want;
      come = next_come;
    }
  }

  /// Both layouts must mean the same tensor by a name.
  void check_dims() {
    // Anything that can be made of the first type can be made of all, if all
    // can be made of it.
    auto type = needed_.of(logical_).front().type;
    auto agrees = [&](const held_box& x) { return convertible(x.type, type); };
    types_agree_ = std::ranges::all_of(needed_.of(logical_), agrees)
                   && std::ranges::all_of(held_.of(logical_), agrees);
    std::optional<std::size_t> dims;
    for (auto pieces : {needed_.of(logical_), held_.of(logical_)})
      for (const auto& x : pieces) {
        if (dims && *dims != x.where.dims()) {
          found_.add(fmt::format("tensor '{}' has {} dimensions on some ranks "
                                 "and {} on others",
                                 name(), *dims, x.where.dims()));
          return;
        }
        dims = x.where.dims();
      }
  }

  /// Notes who gets what, and whether the senders have it.
  void check_sources() {
    boxes_.clear();
    auto held = held_.of(logical_);
    for (const auto& x : held)
      boxes_.push_back(x.where);
    finder_.reset(boxes_);
    for (auto number : transfers_[logical_]) {
      const auto& x = plan_.transfers[number];
      if (auto at = source_.position_of(x.source))
        check_holder(x, *at, held);
      else
        found_.add(fmt::format("{}: '{}' {} comes from rank {}, which the "
                               "source does not have",
                               name_ranks(x.destinations), name(),
                               to_string(x.where), x.source.value()));
      for (auto rank : x.destinations)
        if (auto at = destination_.position_of(rank))
          arrived_.push_back({*at, number});
        else
          found_.add(fmt::format("rank {}: '{}' {} is sent to it, but the "
                                 "destination has no such rank",
                                 rank.value(), name(), to_string(x.where)));
    }
  }

  void check_holder(const planned_transfer& x, std::uint32_t source,
                    std::span<const held_box> held) {
    auto whole = false;
    own_.clear();
    finder_.find(x.where, [&](auto i) {
      auto holders = held_.sets()[held[i].holders];
      if (whole || !std::ranges::binary_search(holders, source))
        return;
      whole = held[i].where.contains(x.where);
      own_.push_back(held[i].where);
    });
    if (whole)
      return;
    cutter_.cut(x.where, own_, [&](const box& cell, auto by) {
      if (by.empty())
        found_.add(x.source, fmt::format("'{}'", name()), cell,
                   "is sent by this rank of the source, which does not hold "
                   "it");
    });
  }

  void check_rank(std::uint32_t rank, std::span<const mark> want,
                  std::span<const mark> come) {
    auto needed = needed_.of(logical_);
    if (want.size() == 1 && come.size() == 1
        && needed[want[0].number].where == transfer(come[0]).where) {
      check_types(rank, want, come);
      return;
    }
    own_.clear();
    for (const auto& x : come)
      own_.push_back(transfer(x).where);
    for (std::size_t i = 0; i < want.size(); ++i) {
      const auto& where = needed[want[i].number].where;
      auto again = std::ranges::any_of(want.first(i), [&](const auto& x) {
        return needed[x.number].where == where;
      });
      if (again)
        continue;
      cutter_.cut(where, own_, [&](const box& cell, auto by) {
        if (by.empty())
          report(rank, cell, "is uncovered: " + reason(cell));
        else if (by.size() > 1)
          report(rank, cell,
                 fmt::format("is written twice: from the source's {}",
                             name_ranks({transfer(come[by[0]]).source,
                                         transfer(come[by[1]]).source})));
      });
    }
    boxes_.clear();
    for (const auto& x : want)
      boxes_.push_back(needed[x.number].where);
    for (const auto& x : own_)
      cutter_.cut(x, boxes_, [&](const box& cell, auto by) {
        if (by.empty())
          report(rank, cell, "is sent to it, but not stored there");
      });
    check_types(rank, want, come);
  }

  /// Whether what arrives can become what is stored.
  void check_types(std::uint32_t rank, std::span<const mark> want,
                   std::span<const mark> come) {
    if (types_agree_)
      return;
    auto held = held_.of(logical_);
    auto needed = needed_.of(logical_);
    for (const auto& x : want) {
      auto type = needed[x.number].type;
      for (const auto& piece : held)
        if (!convertible(piece.type, type) && comes_from(piece, come)) {
          report(rank, needed[x.number].where,
                 fmt::format("is {}, which cannot be made of the source's {}",
                             to_string(type), to_string(piece.type)));
          break;
        }
    }
  }

  bool comes_from(const held_box& piece, std::span<const mark> come) const {
    return std::ranges::any_of(come, [&](const mark& x) {
      auto at = source_.position_of(transfer(x).source);
      return at && piece.where.intersection(transfer(x).where)
             && std::ranges::binary_search(held_.sets()[piece.holders], *at);
    });
  }

  std::string reason(const box& cell) const {
    auto held = held_.of(logical_);
    if (held.empty())
      return "the source has no such tensor";
    auto meets = [&](const held_box& x) {
      return x.where.intersection(cell).has_value();
    };
    auto found = std::ranges::find_if(held, meets);
    if (found == held.end())
      return "no source rank holds it";
    for (const auto& x : needed_.of(logical_))
      if (meets(x) && !convertible(found->type, x.type))
        return fmt::format("it is {}, which cannot be made of the source's {}",
                           to_string(x.type), to_string(found->type));
    return "no transfer brings it";
  }

  void report(std::uint32_t rank, const box& where, const std::string& what) {
    const auto& who = destination_.ranks()[rank];
    found_.add(who.rank, found_.full() ? name() : tensor_text(who), where,
               what);
  }

  /// The logical name, and the stored one if that is another.
  std::string tensor_text(const shared_layout::member& who) {
    stored_names_.resize(destination_.parts().size());
    for (auto part : who.parts) {
      auto& stored = stored_names_[part];
      if (stored.empty())
        for (const auto& tensor : destination_.parts()[part])
          for (const auto& x : tensor.segments)
            stored.emplace(x.logical, tensor.name);
      if (auto at = stored.find(names_[logical_]);
          at != stored.end() && at->second != at->first)
        return fmt::format("'{}' (stored in '{}')", name(), at->second);
    }
    return fmt::format("'{}'", name());
  }

  const transfer_plan& plan_;
  const shared_layout& source_;
  const shared_layout& destination_;
  name_table names_;
  layout_index needed_;
  layout_index held_;
  findings found_;
  /// Transfers of each tensor.
  std::vector<std::vector<std::uint32_t>> transfers_;
  std::uint32_t logical_ = 0;
  bool types_agree_ = true;
  /// By part, made when something is reported: the stored tensor of a logical
  /// one.
  std::vector<std::unordered_map<std::string_view, std::string_view>>
    stored_names_;
  std::vector<mark> wanted_;
  std::vector<mark> arrived_;
  std::vector<box> boxes_;
  std::vector<box> own_;
  box_finder finder_;
  cell_cutter cutter_;
};

} // namespace

std::vector<std::string> verify(const transfer_plan& plan,
                                const shared_layout& source,
                                const shared_layout& destination) {
  return verifier{plan, source, destination}.run();
}

} // namespace troupe::planner::weights
