// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/topology.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <tuple>

#include <fmt/format.h>

namespace troupe::planner {

namespace {

constexpr std::array<std::string_view, 4> strategy_names{"PACK", "SPREAD",
                                                         "STRICT_PACK",
                                                         "STRICT_SPREAD"};

/// Stands for "not counted", see free_resources.
constexpr auto any_cpus = std::numeric_limits<std::int32_t>::max();

} // namespace

std::string_view to_string(node_strategy x) noexcept {
  auto index = static_cast<std::size_t>(x);
  return index < strategy_names.size() ? strategy_names[index] : "unknown";
}

bool from_string(std::string_view name, node_strategy& x) noexcept {
  for (std::size_t i = 0; i < strategy_names.size(); ++i)
    if (strategy_names[i] == name) {
      x = static_cast<node_strategy>(i);
      return true;
    }
  return false;
}

free_resources::free_resources(const cluster& machines) : machines_(&machines) {
  std::int32_t first = 0;
  nodes_.reserve(machines.nodes.size());
  for (const auto& spec : machines.nodes) {
    node_state node;
    node.first_device = first;
    node.taken.resize(spec.devices.size());
    node.devices_left = static_cast<std::int32_t>(spec.devices.size());
    node.counts_cpus = spec.num_cpu > 0;
    node.cpus_left = node.counts_cpus ? spec.num_cpu : any_cpus;
    first += node.devices_left;
    nodes_.push_back(std::move(node));
  }
  num_device_ = first;
}

std::int32_t free_resources::num_device(node_id node) const noexcept {
  return nodes_[static_cast<std::size_t>(node.value())].devices_left;
}

std::vector<std::vector<std::size_t>>
free_resources::domains_of(std::size_t node) const {
  // Devices of unknown domain share one: nothing better is known of them.
  std::map<std::int32_t, std::vector<std::size_t>> by_domain;
  const auto& devices = machines_->nodes[node].devices;
  for (std::size_t i = 0; i < devices.size(); ++i)
    if (!nodes_[node].taken[i])
      by_domain[devices[i].link_domain].push_back(i);
  std::vector<std::vector<std::size_t>> domains;
  for (auto& entry : by_domain)
    domains.push_back(std::move(entry.second));
  return domains;
}

free_resources::node_kind free_resources::kind_of(std::size_t node) const {
  const auto& state = nodes_[node];
  std::size_t largest = 0;
  for (const auto& domain : domains_of(node))
    largest = std::max(largest, domain.size());
  return {state.bundles_here, state.devices_left,
          static_cast<std::int32_t>(largest), state.cpus_left};
}

bool free_resources::fits(const node_kind& kind, const bundle& what) const {
  return kind.devices_left >= what.devices && kind.cpus_left >= what.cpus;
}

const free_resources::node_kind*
free_resources::choose(const node_index& index, const bundle& what,
                       node_strategy strategy,
                       std::int64_t devices_to_come) const {
  // Smaller is better.
  using score = std::tuple<bool, std::int64_t, std::int64_t, std::int64_t>;
  const node_kind* best = nullptr;
  score best_score;
  for (const auto& entry : index) {
    const auto& kind = entry.first;
    if (!fits(kind, what)
        || (strategy == node_strategy::strict_spread && kind.bundles_here > 0))
      continue;
    auto cut = kind.largest_domain < what.devices;
    score now;
    if (strategy == node_strategy::spread
        || strategy == node_strategy::strict_spread) {
      now = {cut, kind.bundles_here, -kind.devices_left, -kind.cpus_left};
    } else {
      // Stay where the group is; else the tightest node that takes all that is
      // to come; else the emptiest one.
      auto takes_all = kind.devices_left >= devices_to_come;
      now = {cut, kind.bundles_here > 0 ? 0 : 1, takes_all ? 0 : 1,
             takes_all ? kind.devices_left : -kind.devices_left};
    }
    if (best == nullptr || now < best_score) {
      best = &kind;
      best_score = now;
    }
  }
  return best;
}

bundle_place free_resources::put(std::size_t node, const bundle& what) {
  auto& state = nodes_[node];
  bundle_place place;
  place.node = node_id{static_cast<std::int32_t>(node)};
  auto count = static_cast<std::size_t>(what.devices);
  auto domains = domains_of(node);
  const std::vector<std::size_t>* home = nullptr;
  for (const auto& domain : domains)
    if (domain.size() >= count
        && (home == nullptr || domain.size() < home->size()))
      home = &domain;
  std::vector<std::size_t> chosen;
  if (home != nullptr) {
    chosen.assign(home->begin(),
                  home->begin() + static_cast<std::ptrdiff_t>(count));
  } else {
    std::stable_sort(domains.begin(), domains.end(),
                     [](const auto& a, const auto& b) {
                       return a.size() > b.size();
                     });
    for (const auto& domain : domains)
      for (auto device : domain)
        if (chosen.size() < count)
          chosen.push_back(device);
    place.in_one_domain = chosen.size() < 2;
  }
  std::sort(chosen.begin(), chosen.end());
  for (auto device : chosen) {
    state.taken[device] = true;
    place.devices.push_back(
      device_id{state.first_device + static_cast<std::int32_t>(device)});
  }
  state.devices_left -= what.devices;
  num_device_ -= what.devices;
  if (state.counts_cpus)
    state.cpus_left -= what.cpus;
  ++state.bundles_here;
  return place;
}

error free_resources::refusal(const bundle& what, node_strategy strategy,
                              std::size_t placed, std::size_t wanted) const {
  std::int32_t most = 0;
  for (const auto& node : nodes_)
    most = std::max(most, node.devices_left);
  auto advice = "use fewer or smaller replicas, or more nodes";
  if (strategy == node_strategy::strict_spread)
    advice = "use at most one replica a node, or SPREAD";
  return {errc::exhausted,
          fmt::format("{}: bundle {} of {} ({} devices, {} cores) fits on no "
                      "node that the strategy allows; {} devices are left on "
                      "{} nodes, at most {} on one: {}",
                      to_string(strategy), placed + 1, wanted, what.devices,
                      what.cpus, num_device_, nodes_.size(), most, advice)};
}

result<std::vector<bundle_place>>
free_resources::take(std::span<const bundle> bundles, node_strategy strategy) {
  bundle sum;
  std::int64_t devices = 0;
  std::int64_t cpus = 0;
  for (const auto& x : bundles) {
    if (x.devices < 0 || x.cpus < 0)
      return fail(errc::invalid, "a bundle asks for a negative number of "
                                 "devices or cores");
    devices += x.devices;
    cpus += x.cpus;
  }
  auto before = *this;
  for (auto& node : nodes_)
    node.bundles_here = 0;
  node_index index;
  for (std::size_t node = 0; node < nodes_.size(); ++node)
    index[kind_of(node)].insert(node);

  if (strategy == node_strategy::strict_pack && !bundles.empty()) {
    // One node must hold the sum; nothing else is on offer.
    constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
    sum.devices = static_cast<std::int32_t>(std::min(devices, most));
    sum.cpus = static_cast<std::int32_t>(std::min(cpus, most - 1));
    const auto* kind = choose(index, sum, node_strategy::pack, devices);
    if (kind == nullptr || devices > most) {
      std::int32_t largest = 0;
      for (const auto& node : nodes_)
        largest = std::max(largest, node.devices_left);
      return fail(errc::exhausted,
                  fmt::format("STRICT_PACK: all {} bundles need {} devices and "
                              "{} cores on one node; the most that is left on "
                              "one node is {} devices: use PACK, or fewer or "
                              "smaller replicas",
                              bundles.size(), devices, cpus, largest));
    }
    auto node = *index.find(*kind)->second.begin();
    index.clear();
    index[kind_of(node)].insert(node);
  }

  std::vector<std::size_t> by_size(bundles.size());
  std::iota(by_size.begin(), by_size.end(), std::size_t{0});
  std::stable_sort(by_size.begin(), by_size.end(),
                   [&bundles](std::size_t a, std::size_t b) {
                     return std::tie(bundles[a].devices, bundles[a].cpus)
                            > std::tie(bundles[b].devices, bundles[b].cpus);
                   });
  std::vector<bundle_place> places(bundles.size());
  std::size_t placed = 0;
  for (auto i : by_size) {
    const auto* kind = choose(index, bundles[i], strategy, devices);
    if (kind == nullptr) {
      *this = std::move(before);
      return fail(refusal(bundles[i], strategy, placed, bundles.size()));
    }
    auto entry = index.find(*kind);
    auto node = *entry->second.begin();
    entry->second.erase(entry->second.begin());
    if (entry->second.empty())
      index.erase(entry);
    places[i] = put(node, bundles[i]);
    index[kind_of(node)].insert(node);
    devices -= bundles[i].devices;
    ++placed;
  }
  return places;
}

} // namespace troupe::planner
