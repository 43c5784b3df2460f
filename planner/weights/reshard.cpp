// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/weights/reshard.hpp"

#include <algorithm>
#include <numeric>

#include "troupe/planner/weights/flows.hpp"
#include "troupe/planner/weights/link_groups.hpp"
#include "troupe/planner/weights/load_leveler.hpp"

namespace troupe::planner::weights {

namespace {

class resharder {
public:
  resharder(const shared_layout& source, const shared_layout& destination)
    : source_(source),
      destination_(destination),
      table_(source, destination),
      groups_(source, destination),
      leveler_(source.ranks().size()) {
    // nop
  }

  transfer_plan run() {
    collect();
    assign();
    order();
    plan_.source_model = source_.model();
    plan_.destination_model = destination_.model();
    for (std::uint32_t i = 0; i < table_.num_destination_names(); ++i)
      plan_.logical.emplace_back(table_.names()[i]);
    return std::move(plan_);
  }

private:
  /// What a set of candidates has to send.
  struct task {
    std::uint32_t flow;
    /// Which answer of `groups_`, and which group of it.
    std::uint32_t answer;
    std::uint32_t group;
  };

  void collect() {
    const auto& flows = table_.flows();
    for (std::uint32_t i = 0; i < flows.size(); ++i) {
      const auto& x = flows[i];
      auto answer = groups_.find(x.sources, table_.sources()[x.sources],
                                 x.destinations,
                                 table_.destinations()[x.destinations]);
      const auto& groups = groups_.groups(answer);
      tasks_.resize(groups_.candidates().size());
      for (std::uint32_t g = 0; g < groups.size(); ++g)
        tasks_[groups[g].candidates].push_back({i, answer, g});
    }
  }

  void assign() {
    std::vector<std::uint32_t> sets(tasks_.size());
    std::iota(sets.begin(), sets.end(), 0);
    std::ranges::stable_sort(sets, {}, [&](auto i) {
      return groups_.candidates()[i].size();
    });
    std::vector<level_item> items;
    for (auto set : sets) {
      const auto& tasks = tasks_[set];
      items.clear();
      for (const auto& x : tasks) {
        const auto& what = table_.flows()[x.flow];
        items.push_back(
          {what.where, what.element_bytes, group_of(x).destinations.size()});
      }
      leveler_.assign(groups_.candidates()[set], items,
                      [&](std::uint32_t source, std::size_t item,
                          const box& where, std::size_t first,
                          std::size_t count) {
                        add(tasks[item], source, where, first, count);
                      });
    }
  }

  const link_group& group_of(const task& x) const {
    return groups_.groups(x.answer)[x.group];
  }

  void add(const task& x, std::uint32_t source, const box& where,
           std::size_t first, std::size_t count) {
    const auto& what = table_.flows()[x.flow];
    const auto& group = group_of(x);
    planned_transfer out;
    out.source = source_.ranks()[source].rank;
    out.destinations.reserve(count);
    for (std::size_t i = first; i < first + count; ++i)
      out.destinations.push_back(
        destination_.ranks()[group.destinations[i]].rank);
    out.logical = what.logical;
    out.where = where;
    out.link = group.link;
    out.bytes = static_cast<std::uint64_t>(where.size()) * what.element_bytes;
    plan_.transfers.push_back(std::move(out));
    flow_of_.push_back(x.flow);
  }

  /// Candidates were served set by set; readers and programs want the tensors
  /// in turn.
  void order() {
    std::vector<std::uint32_t> by_flow(flow_of_.size());
    std::iota(by_flow.begin(), by_flow.end(), 0);
    std::ranges::stable_sort(by_flow, {}, [&](auto i) { return flow_of_[i]; });
    std::vector<planned_transfer> sorted;
    sorted.reserve(by_flow.size());
    for (auto i : by_flow)
      sorted.push_back(std::move(plan_.transfers[i]));
    plan_.transfers = std::move(sorted);
  }

  const shared_layout& source_;
  const shared_layout& destination_;
  flow_table table_;
  link_groups groups_;
  load_leveler leveler_;
  /// By set of candidates.
  std::vector<std::vector<task>> tasks_;
  transfer_plan plan_;
  std::vector<std::uint32_t> flow_of_;
};

} // namespace

transfer_plan reshard(const shared_layout& source,
                      const shared_layout& destination) {
  return resharder{source, destination}.run();
}

} // namespace troupe::planner::weights
