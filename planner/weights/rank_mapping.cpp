// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/weights/rank_mapping.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "troupe/planner/weights/flows.hpp"
#include "troupe/planner/weights/link_groups.hpp"

namespace troupe::planner::weights {

namespace {

/// One way on which a destination may get something.
struct way {
  std::uint32_t sender = 0;
  std::optional<std::uint32_t> relay = {};
};

class transfer_mapper {
public:
  transfer_mapper(const rank_mapping& mapping, const shared_layout& source,
                  const shared_layout& destination,
                  const std::function<bool(std::string_view)>& routed)
    : mapping_(mapping),
      source_(source),
      destination_(destination),
      routed_(routed),
      table_(source, destination),
      ways_(destination.ranks().size()),
      routed_ways_(destination.ranks().size()),
      groups_(source.ranks().size()) {
    // nop
  }

  transfer_plan run() {
    make_ways();
    plan_.source_model = source_.model();
    plan_.destination_model = destination_.model();
    for (std::uint32_t i = 0; i < table_.num_destination_names(); ++i)
      plan_.logical.emplace_back(table_.names()[i]);
    for (const auto& x : table_.flows())
      add(x);
    return std::move(plan_);
  }

private:
  /// A source rank and the way from it.
  struct choice {
    std::uint32_t holder;
    way how;
  };

  bool known(std::uint32_t from, std::uint32_t to) const {
    return from < groups_.size() && to < ways_.size();
  }

  void make_ways() {
    std::vector<std::vector<std::uint32_t>> senders(ways_.size());
    for (auto [from, to] : mapping_.sends)
      if (known(from, to)) {
        ways_[to].push_back({from});
        senders[to].push_back(from);
      }
    for (auto [relay, to] : mapping_.hand_ons)
      if (relay < ways_.size() && to < ways_.size())
        for (auto from : senders[relay])
          ways_[to].push_back({from, relay});
    for (auto [from, to] : mapping_.routed)
      if (known(from, to))
        routed_ways_[to].push_back({from});
    for (const auto& group : mapping_.gathers)
      for (auto rank : group)
        if (rank < groups_.size() && groups_[rank] == nullptr)
          groups_[rank] = &group;
  }

  void add(const flow& x) {
    auto experts = routed_(table_.names()[x.logical]);
    const auto& ways = experts && !mapping_.routed.empty() ? routed_ways_
                                                           : ways_;
    auto gathers = experts || mapping_.gathers_all;
    auto sources = table_.sources()[x.sources];
    // What takes the same way over the same kind of link is one transfer.
    std::map<std::tuple<std::uint32_t, std::uint32_t, std::int64_t, link_kind>,
             std::size_t>
      known;
    for (auto rank : table_.destinations()[x.destinations]) {
      auto found = choose(ways[rank], sources, gathers);
      if (!found)
        continue;
      auto link = link_between(source_.ranks()[found->holder],
                               destination_.ranks()[rank]);
      auto relay = found->how.relay ? std::int64_t{*found->how.relay} : -1;
      auto [at, added] = known.try_emplace({found->holder, found->how.sender,
                                            relay, link},
                                           plan_.transfers.size());
      if (added)
        plan_.transfers.push_back(make(x, *found, link));
      plan_.transfers[at->second].destinations.push_back(
        destination_.ranks()[rank].rank);
    }
  }

  std::optional<choice> choose(const std::vector<way>& ways,
                               rank_sets::ranks sources, bool gathers) const {
    for (const auto& x : ways)
      if (std::ranges::binary_search(sources, x.sender))
        return choice{x.sender, x};
    if (gathers)
      for (const auto& x : ways)
        if (const auto* group = groups_[x.sender])
          for (auto holder : *group)
            if (std::ranges::binary_search(sources, holder))
              return choice{holder, x};
    return std::nullopt;
  }

  planned_transfer make(const flow& x, const choice& from,
                        link_kind link) const {
    planned_transfer out;
    out.source = source_.ranks()[from.holder].rank;
    out.logical = x.logical;
    out.where = x.where;
    out.link = link;
    out.bytes = x.bytes();
    if (from.how.sender != from.holder)
      out.gathered_by = source_.ranks()[from.how.sender].rank;
    if (from.how.relay)
      out.handed_on_by = destination_.ranks()[*from.how.relay].rank;
    return out;
  }

  const rank_mapping& mapping_;
  const shared_layout& source_;
  const shared_layout& destination_;
  const std::function<bool(std::string_view)>& routed_;
  flow_table table_;
  /// By destination.
  std::vector<std::vector<way>> ways_;
  std::vector<std::vector<way>> routed_ways_;
  /// By source; null for one that is in no group.
  std::vector<const std::vector<std::uint32_t>*> groups_;
  transfer_plan plan_;
};

std::uint32_t number(std::int64_t x) {
  return static_cast<std::uint32_t>(x);
}

} // namespace

rank_mapping to_mapping(const chatlearn::sync_plan& plan,
                        std::size_t num_source) {
  auto base = static_cast<std::int64_t>(num_source);
  rank_mapping out;
  for (auto [from, to] : plan.stage1)
    out.sends.emplace_back(number(from), number(to - base));
  if (plan.stage2)
    for (auto [from, to] : *plan.stage2)
      out.hand_ons.emplace_back(number(from - base), number(to - base));
  for (auto [from, to] : plan.routed)
    out.routed.emplace_back(number(from), number(to - base));
  if (plan.regroup_groups)
    for (const auto& group : *plan.regroup_groups) {
      auto& list = out.gathers.emplace_back();
      for (auto rank : group)
        list.push_back(number(rank));
    }
  return out;
}

rank_mapping to_mapping(const chatlearn::rank_pairs& fsdp_pairs,
                        std::size_t num_source) {
  auto base = static_cast<std::int64_t>(num_source);
  rank_mapping out;
  for (auto [from, to] : fsdp_pairs)
    out.sends.emplace_back(number(from), number(to - base));
  auto& all = out.gathers.emplace_back();
  for (std::uint32_t i = 0; i < num_source; ++i)
    all.push_back(i);
  out.gathers_all = true;
  return out;
}

bool is_routed(std::string_view logical) noexcept {
  return logical.find(".experts.") != std::string_view::npos;
}

transfer_plan
map_transfers(const rank_mapping& mapping, const shared_layout& source,
              const shared_layout& destination,
              const std::function<bool(std::string_view)>& routed) {
  return transfer_mapper{mapping, source, destination, routed}.run();
}

} // namespace troupe::planner::weights
