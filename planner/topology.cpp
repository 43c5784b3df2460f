// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/topology.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace troupe::planner {

namespace {

/// Stands for "not counted", see free_resources.
constexpr auto any_cpus = std::numeric_limits<std::int32_t>::max();

std::int32_t largest_part(const bundle& what) {
  if (what.parts.empty())
    return what.devices;
  return *std::max_element(what.parts.begin(), what.parts.end());
}

/// Positions of bundles, larger ones first.
std::vector<std::size_t> by_size(std::span<const bundle> bundles) {
  std::vector<std::size_t> order(bundles.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&bundles](std::size_t a, std::size_t b) {
                     return std::tie(bundles[a].devices, bundles[a].cpus)
                            > std::tie(bundles[b].devices, bundles[b].cpus);
                   });
  return order;
}

} // namespace

free_resources::free_resources(const cluster& machines) {
  std::int32_t first = 0;
  nodes_.reserve(machines.nodes.size());
  for (const auto& spec : machines.nodes) {
    node_state node;
    node.first_device = first;
    node.devices_left = static_cast<std::int32_t>(spec.devices.size());
    node.counts_cpus = spec.num_cpu > 0;
    node.cpus_left = node.counts_cpus ? spec.num_cpu : any_cpus;
    first += node.devices_left;
    // Devices of unknown domain share one: nothing better is known of them.
    std::map<std::int32_t, domain_state> domains;
    for (std::int32_t i = 0; i < node.devices_left; ++i)
      domains[spec.devices[static_cast<std::size_t>(i)].link_domain]
        .devices.push_back(i);
    for (auto& entry : domains)
      node.domains.push_back(std::move(entry.second));
    index_[kind_of(node)].insert(nodes_.size());
    nodes_.push_back(std::move(node));
  }
  num_device_ = first;
}

std::int32_t free_resources::num_device(node_id node) const noexcept {
  return nodes_[static_cast<std::size_t>(node.value())].devices_left;
}

std::int32_t free_resources::most_on_a_node() const noexcept {
  std::int32_t most = 0;
  for (const auto& entry : index_)
    most = std::max(most, entry.first.devices_left);
  return most;
}

free_resources::node_kind free_resources::kind_of(const node_state& node) {
  std::int32_t largest = 0;
  for (const auto& domain : node.domains)
    largest = std::max(largest, domain.left());
  return {node.bundles_here, node.devices_left, largest, node.cpus_left};
}

bool free_resources::fits(const node_kind& kind, const bundle& what) const {
  return kind.devices_left >= what.devices && kind.cpus_left >= what.cpus;
}

template <class F>
void free_resources::update(std::size_t node, F f) {
  auto& state = nodes_[node];
  auto entry = index_.find(kind_of(state));
  entry->second.erase(node);
  if (entry->second.empty())
    index_.erase(entry);
  f(state);
  index_[kind_of(state)].insert(node);
}

void free_resources::begin_group() {
  for (auto node : touched_)
    update(node, [](node_state& state) { state.bundles_here = 0; });
  touched_.clear();
}

void free_resources::restore(std::size_t node, node_state state) {
  update(node, [&](node_state& now) {
    num_device_ += state.devices_left - now.devices_left;
    now = std::move(state);
  });
}

const free_resources::node_kind*
free_resources::choose(const bundle& what, node_strategy strategy,
                       std::int64_t devices_to_come) const {
  // Smaller is better.
  using score = std::tuple<bool, bool, std::int64_t, std::int64_t,
                           std::int64_t>;
  const node_kind* best = nullptr;
  score best_score;
  auto part = largest_part(what);
  for (const auto& entry : index_) {
    const auto& kind = entry.first;
    if (!fits(kind, what)
        || (strategy == node_strategy::strict_spread && kind.bundles_here > 0))
      continue;
    auto cut_part = kind.largest_domain < part;
    auto cut = kind.largest_domain < what.devices;
    score now;
    if (strategy == node_strategy::spread
        || strategy == node_strategy::strict_spread) {
      now = {cut_part, cut, kind.bundles_here, -kind.devices_left,
             -kind.cpus_left};
    } else {
      // Stay where the group is; else the tightest node that takes all that is
      // to come; else the emptiest one.
      auto takes_all = kind.devices_left >= devices_to_come;
      now = {cut_part, cut, kind.bundles_here > 0 ? 0 : 1, takes_all ? 0 : 1,
             takes_all ? kind.devices_left : -kind.devices_left};
    }
    if (best == nullptr || now < best_score) {
      best = &kind;
      best_score = now;
    }
  }
  return best;
}

std::vector<free_resources::domain_share>
free_resources::share_domains(std::vector<std::int32_t>& left,
                              std::int32_t count) {
  std::vector<domain_share> shares;
  auto tight = left.size();
  for (std::size_t i = 0; i < left.size(); ++i)
    if (left[i] >= count && (tight == left.size() || left[i] < left[tight]))
      tight = i;
  if (tight < left.size() && count > 0) {
    shares.push_back({tight, count});
    left[tight] -= count;
    return shares;
  }
  while (count > 0) {
    auto most = std::max_element(left.begin(), left.end());
    auto share = std::min(*most, count);
    shares.push_back({static_cast<std::size_t>(most - left.begin()), share});
    *most -= share;
    count -= share;
  }
  std::sort(shares.begin(), shares.end(),
            [](const auto& a, const auto& b) { return a.domain < b.domain; });
  return shares;
}

bundle_place free_resources::put(std::size_t node, const bundle& what) {
  bundle_place place;
  place.node = node_id{static_cast<std::int32_t>(node)};
  place.devices.reserve(static_cast<std::size_t>(what.devices));
  update(node, [&](node_state& state) {
    std::vector<std::int32_t> left;
    for (const auto& domain : state.domains)
      left.push_back(domain.left());
    auto whole = left.empty()
                 || *std::max_element(left.begin(), left.end()) >= what.devices;
    auto parts = what.parts;
    if (whole || parts.empty())
      parts.assign(1, what.devices);
    std::vector<std::size_t> order(parts.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](auto a, auto b) { return parts[a] > parts[b]; });
    std::vector<std::vector<domain_share>> shares(parts.size());
    for (auto i : order)
      shares[i] = share_domains(left, parts[i]);
    // Numbers are handed out in the order of the parts, so that they ascend in
    // each domain whatever was chosen first.
    std::set<std::size_t> used;
    for (const auto& part : shares)
      for (const auto& share : part) {
        auto& domain = state.domains[share.domain];
        used.insert(share.domain);
        for (std::int32_t i = 0; i < share.count; ++i)
          place.devices.push_back(device_id{
            state.first_device
            + domain.devices[static_cast<std::size_t>(domain.used++)]});
      }
    place.in_one_domain = used.size() < 2;
    state.devices_left -= what.devices;
    if (state.counts_cpus)
      state.cpus_left -= what.cpus;
    ++state.bundles_here;
  });
  num_device_ -= what.devices;
  touched_.push_back(node);
  return place;
}

bundle_place free_resources::take_on(node_id node, const bundle& what) {
  return put(static_cast<std::size_t>(node.value()), what);
}

error free_resources::refusal(const bundle& what, node_strategy strategy,
                              std::size_t placed, std::size_t wanted) const {
  auto advice = "use fewer or smaller replicas, or more nodes";
  if (strategy == node_strategy::strict_spread)
    advice = "use at most one replica a node, or SPREAD";
  return {errc::exhausted,
          fmt::format("{}: bundle {} of {} ({} devices, {} cores) fits on no "
                      "node that the strategy allows; {} devices are left on "
                      "{} nodes, at most {} on one: {}",
                      to_string(strategy), placed + 1, wanted, what.devices,
                      what.cpus, num_device_, nodes_.size(), most_on_a_node(),
                      advice)};
}

result<std::vector<bundle_place>>
free_resources::take(std::span<const bundle> bundles, node_strategy strategy) {
  std::int64_t devices = 0;
  std::int64_t cpus = 0;
  for (const auto& x : bundles) {
    if (x.devices < 0 || x.cpus < 0)
      return fail(errc::invalid, "a bundle asks for a negative number of "
                                 "devices or cores");
    devices += x.devices;
    cpus += x.cpus;
  }
  begin_group();
  std::optional<std::size_t> only;
  if (strategy == node_strategy::strict_pack && !bundles.empty()) {
    // One node must hold the sum; nothing else is on offer.
    constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
    bundle sum;
    sum.devices = static_cast<std::int32_t>(std::min(devices, most));
    sum.cpus = static_cast<std::int32_t>(std::min(cpus, most - 1));
    const auto* kind = choose(sum, node_strategy::pack, devices);
    if (kind == nullptr || devices > most)
      return fail(errc::exhausted,
                  fmt::format("STRICT_PACK: all {} bundles need {} devices and "
                              "{} cores on one node; the most that is left on "
                              "one node is {} devices: use PACK, or fewer or "
                              "smaller replicas",
                              bundles.size(), devices, cpus, most_on_a_node()));
    only = *index_.find(*kind)->second.begin();
  }
  std::vector<bundle_place> places(bundles.size());
  std::vector<std::pair<std::size_t, node_state>> undo;
  for (auto i : by_size(bundles)) {
    auto node = only;
    if (!node)
      if (const auto* kind = choose(bundles[i], strategy, devices))
        node = *index_.find(*kind)->second.begin();
    if (!node) {
      auto placed = undo.size();
      for (; !undo.empty(); undo.pop_back())
        restore(undo.back().first, std::move(undo.back().second));
      touched_.clear();
      return fail(refusal(bundles[i], strategy, placed, bundles.size()));
    }
    undo.emplace_back(*node, nodes_[*node]);
    places[i] = put(*node, bundles[i]);
    devices -= bundles[i].devices;
  }
  return places;
}

std::vector<std::optional<bundle_place>>
free_resources::take_some(std::span<const bundle> bundles,
                          node_strategy strategy) {
  begin_group();
  std::int64_t devices = 0;
  for (const auto& x : bundles)
    devices += x.devices;
  std::vector<std::optional<bundle_place>> places(bundles.size());
  for (auto i : by_size(bundles)) {
    if (const auto* kind = choose(bundles[i], strategy, devices))
      places[i] = put(*index_.find(*kind)->second.begin(), bundles[i]);
    devices -= bundles[i].devices;
  }
  return places;
}

} // namespace troupe::planner
