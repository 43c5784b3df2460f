// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/allotment.hpp"

#include <algorithm>
#include <compare>
#include <map>
#include <numeric>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "troupe/planner/device_pool.hpp"
#include "troupe/planner/job_error.hpp"
#include "troupe/planner/topology_allotter.hpp"

namespace troupe::planner {

namespace {

using complaint = std::optional<error>;

/// How many replicas are torn that would fit: less is better.
struct damage {
  std::int64_t over_nodes = 0;
  std::int64_t over_domains = 0;

  auto operator<=>(const damage&) const = default;

  [[nodiscard]] bool none() const noexcept {
    return over_nodes == 0 && over_domains == 0;
  }
};

/// What the machines offer, seen once.
struct machine_facts {
  std::int64_t widest_node = 0;
  std::int64_t widest_domain = 0;
  bool equal_nodes = true;
  bool several_domains = false;
  /// Of each device.
  std::vector<std::int32_t> domain;

  explicit machine_facts(const cluster& machines) {
    std::map<std::int32_t, std::int64_t> sizes;
    for (const auto& node : machines.nodes) {
      auto size = static_cast<std::int64_t>(node.devices.size());
      equal_nodes = equal_nodes
                    && size
                         == static_cast<std::int64_t>(
                           machines.nodes.front().devices.size());
      widest_node = std::max(widest_node, size);
      sizes.clear();
      for (const auto& device : node.devices) {
        domain.push_back(device.link_domain);
        auto& count = sizes[device.link_domain];
        widest_domain = std::max(widest_domain, ++count);
      }
      several_domains = several_domains || sizes.size() > 1;
    }
  }
};

damage damage_of(const group_plan& group, const group_layout& layout,
                 const machine_facts& facts) {
  std::vector<std::pair<std::int32_t, std::int32_t>> at;
  for (const auto& run : layout.devices)
    for (std::int32_t i = 0; i < run.count; ++i)
      at.emplace_back(run.node.value(), facts.domain[static_cast<std::size_t>(
                                          run.first.value() + i)]);
  damage out;
  for (std::size_t m = 0; m < group.members.size(); ++m) {
    const auto& model = *group.members[m];
    if (model.on_cpu())
      continue;
    auto width = model.num_gpu / model.num_replica;
    auto processes = static_cast<std::size_t>(width / model.gpu_per_process);
    const auto& slots = layout.models[m].first_slot;
    for (std::size_t p = 0; p < slots.size(); p += processes) {
      const auto& home = at[static_cast<std::size_t>(slots[p])];
      bool one_node = true;
      bool one_domain = true;
      for (auto q = p; q < p + processes; ++q)
        for (std::int32_t i = 0; i < model.gpu_per_process; ++i) {
          const auto& x = at[static_cast<std::size_t>(slots[q] + i)];
          one_node = one_node && x.first == home.first;
          one_domain = one_domain && x == home;
        }
      if (!one_node && width <= facts.widest_node)
        ++out.over_nodes;
      if (!one_domain && width <= facts.widest_domain)
        ++out.over_domains;
    }
  }
  return out;
}

class allotter {
public:
  allotter(std::vector<group_plan>& groups, const job_spec& job,
           const resolved_job& jobs, const cluster& machines)
    : groups_(groups),
      job_(job),
      jobs_(jobs),
      machines_(machines),
      facts_(machines) {
    job_order_.resize(groups_.size());
    std::iota(job_order_.begin(), job_order_.end(), std::size_t{0});
    largest_first_ = job_order_;
    std::stable_sort(largest_first_.begin(), largest_first_.end(),
                     [&](std::size_t a, std::size_t b) {
                       return jobs_.group_devices[a] > jobs_.group_devices[b];
                     });
    std::vector<std::int32_t> widest(groups_.size(), 0);
    for (std::size_t g = 0; g < groups_.size(); ++g)
      for (const auto* x : groups_[g].members)
        widest[g] = std::max(widest[g], x->num_gpu / x->num_replica);
    widest_first_ = job_order_;
    std::stable_sort(widest_first_.begin(), widest_first_.end(),
                     [&](std::size_t a, std::size_t b) {
                       return widest[a] > widest[b];
                     });
  }

  complaint run(std::vector<std::string>& warnings) {
    attempt best;
    if (job_.strategy == node_strategy::pack) {
      best = better(try_first_fit(job_order_),
                    [&] { return try_first_fit(largest_first_); });
      // On equal nodes of one domain first fit is the rule, not a guess.
      if (facts_.equal_nodes && !facts_.several_domains)
        return finish(std::move(best), warnings);
      best.torn = best.bad ? damage{} : all_damage(best.layouts);
      if (!best.bad && best.torn.none())
        return finish(std::move(best), warnings);
      best = better(std::move(best), [&] { return try_topology(job_order_); });
    } else {
      best = try_topology(job_order_);
    }
    for (const auto* order : {&largest_first_, &widest_first_})
      best = better(std::move(best), [&] { return try_topology(*order); });
    return finish(std::move(best), warnings);
  }

private:
  struct attempt {
    complaint bad;
    damage torn;
    const std::vector<std::size_t>* order = nullptr;
    std::vector<group_layout> layouts;
  };

  template <class Next>
  static attempt better(attempt first, Next next) {
    if (!first.bad && first.torn.none())
      return first;
    auto second = next();
    if (second.bad || (!first.bad && second.torn >= first.torn))
      return first;
    return second;
  }

  complaint finish(attempt best, std::vector<std::string>& warnings) {
    if (best.bad)
      return std::move(best.bad);
    if (best.order == &largest_first_)
      warnings.push_back("groups got their devices largest first, so that they "
                         "fit into nodes");
    if (best.order == &widest_first_)
      warnings.push_back("groups got their devices widest replica first, so "
                         "that replicas stay together");
    for (std::size_t g = 0; g < groups_.size(); ++g)
      groups_[g].layout = std::move(best.layouts[g]);
    return std::nullopt;
  }

  damage all_damage(const std::vector<group_layout>& layouts) {
    damage sum;
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      if (layouts[g].devices.empty())
        continue;
      auto one = damage_of(groups_[g], layouts[g], facts_);
      sum.over_nodes += one.over_nodes;
      sum.over_domains += one.over_domains;
    }
    return sum;
  }

  /// Counts groups that are torn and would fit into a node.
  attempt try_first_fit(const std::vector<std::size_t>& order) {
    attempt out;
    out.order = &order;
    out.layouts.resize(groups_.size());
    device_pool pool{machines_};
    for (auto g : order) {
      auto count = jobs_.group_devices[g];
      if (count == 0)
        continue;
      const auto& group = groups_[g];
      auto& layout = out.layouts[g];
      for (;;) {
        auto devices = pool.take(count);
        if (!devices) {
          out.bad = processes_do_not_fit(group, count, pool.num_free());
          return out;
        }
        layout = lay_out(std::move(*devices), group.members, group.packs);
        if (layout.missing == 0)
          break;
        pool.undo(layout.devices);
        count += layout.missing;
      }
      if (count <= facts_.widest_node && layout.devices.size() > 1)
        ++out.torn.over_nodes;
    }
    return out;
  }

  attempt try_topology(const std::vector<std::size_t>& order) {
    attempt out;
    out.order = &order;
    out.layouts.resize(groups_.size());
    topology_allotter topology{machines_, job_.strategy,
                               static_cast<std::int32_t>(
                                 facts_.several_domains ? facts_.widest_domain
                                                        : 0)};
    for (auto g : order) {
      if (jobs_.group_devices[g] == 0)
        continue;
      auto layout = topology.take(groups_[g], jobs_.group_devices[g]);
      if (!layout) {
        out.bad = std::move(layout.error());
        return out;
      }
      out.layouts[g] = std::move(*layout);
    }
    out.torn = all_damage(out.layouts);
    return out;
  }

  std::vector<group_plan>& groups_;
  const job_spec& job_;
  const resolved_job& jobs_;
  const cluster& machines_;
  machine_facts facts_;
  std::vector<std::size_t> job_order_;
  std::vector<std::size_t> largest_first_;
  /// By the devices of the largest replica: smaller ones fill the gaps.
  std::vector<std::size_t> widest_first_;
};

} // namespace

std::string group_name(const group_plan& group) {
  constexpr std::size_t shown = 4;
  std::vector<std::string_view> names;
  for (const auto* x : group.members) {
    if (names.size() == shown) {
      names.push_back("...");
      break;
    }
    names.push_back(x->name);
  }
  return fmt::format("{}", fmt::join(names, " + "));
}

error processes_do_not_fit(const group_plan& group, std::int64_t wanted,
                           std::int64_t left) {
  return make_error(
    job_error::not_enough_devices,
    fmt::format("{}: gpu_per_process does not fit the nodes: {} more "
                "device{} would be needed where {} are left; choose a "
                "gpu_per_process that divides a node's devices, or add nodes",
                group_name(group), wanted - left, wanted - left == 1 ? "" : "s",
                left));
}

std::optional<error> allot_devices(std::vector<group_plan>& groups,
                                   const job_spec& job,
                                   const resolved_job& jobs,
                                   const cluster& machines,
                                   std::vector<std::string>& warnings) {
  return allotter{groups, job, jobs, machines}.run(warnings);
}

} // namespace troupe::planner
