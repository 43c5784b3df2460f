// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/placement_reasons.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "troupe/planner/resolved_job.hpp"

namespace troupe::planner {

namespace {

/// Replicas that get a sentence of their own.
constexpr std::size_t shown = 4;

/// "0 and 1", "0, 1 and 4".
std::string list(const std::vector<std::int32_t>& numbers) {
  std::vector<std::int32_t> front{numbers.begin(), numbers.end() - 1};
  if (front.empty())
    return fmt::format("{}", numbers.back());
  return fmt::format("{} and {}", fmt::join(front, ", "), numbers.back());
}

} // namespace

stand_report::stand_report(const cluster& machines) : machines_(machines) {
  std::int32_t first = 0;
  for (const auto& node : machines.nodes) {
    first_device_.push_back(first);
    first += static_cast<std::int32_t>(node.devices.size());
    std::map<std::int32_t, std::int64_t> sizes;
    std::int64_t widest = 0;
    for (const auto& device : node.devices)
      widest = std::max(widest, ++sizes[device.link_domain]);
    widest_domain_.push_back(widest);
    num_domain_.push_back(sizes.size());
  }
}

std::size_t stand_report::size_of(std::int32_t node) const {
  return machines_.nodes[static_cast<std::size_t>(node)].devices.size();
}

stand_report::stand stand_report::stand_of(const replica_place& replica) const {
  stand out;
  for (const auto& rank : replica.ranks)
    if (out.nodes.empty() || out.nodes.back() != rank.node.value())
      out.nodes.push_back(rank.node.value());
  std::sort(out.nodes.begin(), out.nodes.end());
  if (out.nodes.size() > 1)
    return out;
  auto node = static_cast<std::size_t>(out.nodes.front());
  if (num_domain_[node] < 2)
    return out;
  std::set<std::int32_t> domains;
  for (const auto& rank : replica.ranks)
    for (auto device : rank.devices) {
      auto at = static_cast<std::size_t>(device.value() - first_device_[node]);
      domains.insert(machines_.nodes[node].devices[at].link_domain);
    }
  out.domains.assign(domains.begin(), domains.end());
  return out;
}

std::string stand_report::sentence(std::size_t r, const stand& at,
                                   std::int64_t width) const {
  if (at.nodes.size() > 1) {
    auto least = size_of(at.nodes.front());
    auto most = least;
    for (auto node : at.nodes) {
      least = std::min(least, size_of(node));
      most = std::max(most, size_of(node));
    }
    auto sizes = least == most ? fmt::format("{}", most)
                               : fmt::format("{} to {}", least, most);
    return fmt::format("replica {} spans nodes {}: {} devices, nodes have {}",
                       r, list(at.nodes), width, sizes);
  }
  auto node = at.nodes.front();
  if (at.domains.size() > 1)
    return fmt::format("replica {} spans link domains {} of node {}: {} "
                       "devices, domains have {}",
                       r, list(at.domains), node, width,
                       widest_domain_[static_cast<std::size_t>(node)]);
  if (at.domains.size() == 1 && width > 1)
    return fmt::format("replica {} stays inside link domain {} of node {}", r,
                       at.domains.front(), node);
  return {};
}

void stand_report::explain(const model_spec& model, node_strategy strategy,
                           model_place& out,
                           std::vector<std::string>& warnings) const {
  auto width = ranks_per_replica(model) * model.gpu_per_process;
  std::set<std::int32_t> nodes;
  std::size_t in_domain = 0;
  std::size_t in_node = 0;
  std::size_t torn_nodes = 0;
  std::size_t torn_domains = 0;
  std::size_t sentences = 0;
  for (std::size_t r = 0; r < out.replicas.size(); ++r) {
    auto at = stand_of(out.replicas[r]);
    nodes.insert(at.nodes.begin(), at.nodes.end());
    if (at.nodes.size() == 1) {
      ++in_node;
      if (at.domains.size() == 1)
        ++in_domain;
      else if (width
               <= widest_domain_[static_cast<std::size_t>(at.nodes.front())])
        torn_domains += at.domains.size() > 1 ? 1 : 0;
    } else if (width <= static_cast<std::int64_t>(size_of(at.nodes.front()))) {
      ++torn_nodes;
    }
    if (sentences == shown)
      continue;
    if (auto text = sentence(r, at, width); !text.empty()) {
      out.reasons.push_back(std::move(text));
      ++sentences;
    }
  }
  auto count = out.replicas.size();
  if (sentences == shown && count > shown)
    out.reasons.push_back(
      in_domain > 0
        ? fmt::format("of its {} replicas {} stay inside a link domain and {} "
                      "inside a node",
                      count, in_domain, in_node)
        : fmt::format("of its {} replicas {} stay inside a node", count,
                      in_node));
  if (strategy != node_strategy::pack)
    out.reasons.push_back(
      fmt::format("{}: its {} replica{} {} on {} node{}", to_string(strategy),
                  count, count == 1 ? "" : "s", count == 1 ? "stands" : "stand",
                  nodes.size(), nodes.size() == 1 ? "" : "s"));
  if (torn_nodes > 0)
    warnings.push_back(
      fmt::format("{}: {} of {} replicas lie on two nodes or more, though "
                  "each would fit into one; a node's devices should be a "
                  "multiple of the replica's {}",
                  model.name, torn_nodes, count, width));
  if (torn_domains > 0)
    warnings.push_back(
      fmt::format("{}: {} of {} replicas lie in two link domains or more, "
                  "though each would fit into one; a domain's devices should "
                  "be a multiple of the replica's {}",
                  model.name, torn_domains, count, width));
}

} // namespace troupe::planner
