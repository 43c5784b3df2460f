// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/weights/compile.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "troupe/planner/weights/box_cells.hpp"
#include "troupe/planner/weights/bucket_packer.hpp"
#include "troupe/planner/weights/rank_places.hpp"
#include "troupe/planner/weights/wire_type.hpp"

namespace troupe::planner::weights {

namespace {

constexpr std::uint64_t min_bucket_bytes = 8;

class compiler {
public:
  compiler(const transfer_plan& plan, const shared_layout& source,
           const shared_layout& destination, const compile_options& options)
    : plan_(plan),
      source_(source),
      destination_(destination),
      bucket_bytes_(options.bucket_bytes / min_bucket_bytes * min_bucket_bytes),
      sources_(source, plan.logical),
      destinations_(destination, plan.logical) {
    // nop
  }

  result<compiled_plan> run() {
    if (bucket_bytes_ < min_bucket_bytes)
      return fail(errc::invalid, fmt::format("a bucket needs at least {} bytes",
                                             min_bucket_bytes));
    for (const auto& x : source_.ranks())
      out_.sources.emplace_back().rank = x.rank;
    for (const auto& x : destination_.ranks())
      out_.destinations.emplace_back().rank = x.rank;
    if (auto done = collect(); !done)
      return fail(done.error());
    for (std::size_t i = 0; i < hops_.size();)
      if (auto next = make_channel(i); next)
        i = *next;
      else
        return fail(next.error());
    return std::move(out_);
  }

private:
  /// One destination of a transfer.
  struct hop {
    /// The channel's place in the order of all.
    std::uint64_t round;
    std::uint32_t source;
    std::uint32_t destination;
    std::uint32_t transfer;

    auto operator<=>(const hop&) const = default;
  };

  result<void> collect() {
    auto n = std::max(source_.ranks().size(), destination_.ranks().size());
    for (std::uint32_t i = 0; i < plan_.transfers.size(); ++i) {
      const auto& x = plan_.transfers[i];
      auto from = source_.position_of(x.source);
      if (!from || x.logical >= plan_.logical.size())
        return fail(errc::invalid, fmt::format("transfer {} is of a rank or "
                                               "tensor that does not exist",
                                               i));
      for (auto rank : x.destinations) {
        auto to = destination_.position_of(rank);
        if (!to)
          return fail(errc::invalid,
                      fmt::format("{}: rank {} is sent it, but does not exist",
                                  describe(x), rank.value()));
        hops_.push_back({(*to + n - *from % n) % n, *from, *to, i});
      }
    }
    std::ranges::sort(hops_);
    return {};
  }

  std::string describe(const planned_transfer& x) const {
    return fmt::format("tensor '{}' {} of source rank {}",
                       plan_.logical[x.logical], to_string(x.where),
                       x.source.value());
  }

  /// Makes the channel that begins at hop `first`; returns where the next one
  /// does.
  result<std::size_t> make_channel(std::size_t first) {
    const auto& head = hops_[first];
    routed_.clear();
    auto last = first;
    for (; last < hops_.size() && hops_[last].source == head.source
           && hops_[last].destination == head.destination;
         ++last)
      if (auto done = route(hops_[last]); !done)
        return fail(done.error());
    if (routed_.empty())
      return last;
    std::ranges::stable_sort(routed_, {}, &routed_box::wire_type);
    auto link = plan_.transfers[head.transfer].link;
    auto& from = out_.sources[head.source];
    auto& to = out_.destinations[head.destination];
    from.sends.push_back({to.rank, link, {}});
    to.receives.push_back({from.rank, link, {}});
    bucket_packer packer{from.rank, bucket_bytes_, from.sends.back(),
                         to.receives.back()};
    for (const auto& x : routed_)
      packer.add(x);
    return last;
  }

  /// Finds the places of a box at both ends; cuts it where it lies in several.
  result<void> route(const hop& x) {
    const auto& what = plan_.transfers[x.transfer];
    sources_.find(x.source, what.logical, what.where, from_);
    destinations_.find(x.destination, what.logical, what.where, to_);
    boxes_.clear();
    for (const auto& place : from_)
      boxes_.push_back(place.segment->where);
    for (const auto& place : to_)
      boxes_.push_back(place.segment->where);
    result<void> done;
    cutter_.cut(what.where, boxes_, [&](const box& cell, auto by) {
      if (done)
        done = route_cell(cell, by, x);
    });
    return done;
  }

  result<void> route_cell(const box& cell, std::span<const std::uint32_t> by,
                          const hop& x) {
    auto wrong = [&](std::string_view what) {
      return fail(errc::invalid,
                  fmt::format("{}: {} {}",
                              describe(plan_.transfers[x.transfer]),
                              to_string(cell), what));
    };
    if (by.empty() || by.front() >= from_.size())
      return wrong("is not held there");
    auto own = std::ranges::lower_bound(by, from_.size());
    if (own == by.end())
      return wrong(fmt::format("is not stored on rank {}",
                               out_.destinations[x.destination].rank.value()));
    routed_box out;
    out.where = cell;
    // The first is of the widest type.
    out.from = from_[by.front()];
    auto from = out.from.tensor->type;
    auto stored = to_[*own - from_.size()].tensor->type;
    for (auto i = own; i != by.end(); ++i) {
      const auto& place = to_[*i - from_.size()];
      auto type = place.tensor->type;
      if (!convertible(from, type) || !convertible(stored, type))
        return wrong(fmt::format("is {} on rank {}, which cannot be made of {}",
                                 to_string(type),
                                 out_.destinations[x.destination].rank.value(),
                                 to_string(from)));
      stored = wider(stored, type);
      out.to.push_back(place);
    }
    out.wire_type = wire_type(from, stored);
    routed_.push_back(std::move(out));
    return {};
  }

  const transfer_plan& plan_;
  const shared_layout& source_;
  const shared_layout& destination_;
  std::uint64_t bucket_bytes_;
  rank_places sources_;
  rank_places destinations_;
  std::vector<hop> hops_;
  std::vector<routed_box> routed_;
  std::vector<stored_place> from_;
  std::vector<stored_place> to_;
  std::vector<box> boxes_;
  cell_cutter cutter_;
  compiled_plan out_;
};

} // namespace

result<compiled_plan> compile(const transfer_plan& plan,
                              const shared_layout& source,
                              const shared_layout& destination,
                              const compile_options& options) {
  return compiler{plan, source, destination, options}.run();
}

} // namespace troupe::planner::weights
