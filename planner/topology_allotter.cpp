// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/topology_allotter.hpp"

#include <algorithm>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "troupe/planner/job_error.hpp"

namespace troupe::planner {

namespace {

/// A node and the slots that go there.
using node_share = std::pair<node_id, slot_span>;

/// Fills nodes in their order with pieces in theirs; nothing if they do not
/// suffice.
std::optional<std::vector<node_share>>
fill(const std::vector<node_id>& nodes, const std::vector<slot_span>& pieces,
     const free_resources& free) {
  std::vector<node_share> out;
  std::size_t node = 0;
  std::int32_t room = free.num_device(nodes[0]);
  auto open = pieces.front().begin;
  auto close = [&](std::int32_t end) {
    if (end > open)
      out.push_back({nodes[node], {open, end, false}});
    open = end;
    ++node;
    if (node < nodes.size())
      room = free.num_device(nodes[node]);
  };
  for (const auto& piece : pieces) {
    auto at = piece.begin;
    while (at < piece.end) {
      if (node == nodes.size())
        return std::nullopt;
      auto left = piece.end - at;
      if (left > room && (!piece.loose || room == 0)) {
        close(at);
        continue;
      }
      auto part = std::min(left, room);
      at += part;
      room -= part;
    }
  }
  close(pieces.back().end);
  return out;
}

/// Nodes with something left, the emptiest first.
std::vector<node_id> by_room(const free_resources& free) {
  std::vector<node_id> nodes;
  for (std::size_t i = 0; i < free.num_node(); ++i) {
    node_id node{static_cast<std::int32_t>(i)};
    if (free.num_device(node) > 0)
      nodes.push_back(node);
  }
  std::stable_sort(nodes.begin(), nodes.end(), [&](node_id a, node_id b) {
    return free.num_device(a) > free.num_device(b);
  });
  return nodes;
}

/// The fewest emptiest nodes with `count` devices, as a number; the last of
/// them is exchanged for the tightest that will do.
std::size_t choose_fewest(std::vector<node_id>& nodes, std::int32_t count,
                          const free_resources& free) {
  std::size_t k = 0;
  while (k < nodes.size() && count > free.num_device(nodes[k]))
    count -= free.num_device(nodes[k++]);
  if (k == nodes.size())
    return k;
  auto tight = k;
  for (auto i = k; i < nodes.size() && free.num_device(nodes[i]) >= count; ++i)
    if (free.num_device(nodes[i]) < free.num_device(nodes[tight]))
      tight = i;
  auto first = nodes.begin();
  std::rotate(first + static_cast<std::ptrdiff_t>(k),
              first + static_cast<std::ptrdiff_t>(tight),
              first + static_cast<std::ptrdiff_t>(tight) + 1);
  return k + 1;
}

void append(region& out, const bundle_place& place) {
  for (auto device : place.devices) {
    if (!out.empty() && out.back().node == place.node
        && out.back().first.value() + out.back().count == device.value())
      ++out.back().count;
    else
      out.push_back({place.node, device, 1});
  }
}

} // namespace

bundle topology_allotter::bundle_of(const replica_cuts& cuts,
                                    const slot_span& span) const {
  bundle out;
  out.devices = span.size();
  // What must be cut is cut between the replicas inside of it.
  if (auto limit = std::min(widest_domain_, span.size() - 1); limit > 0)
    for (const auto& part : cuts.pieces(span, limit))
      out.parts.push_back(part.size());
  return out;
}

bool topology_allotter::spill(const replica_cuts& cuts, const slot_span& span,
                              bool whole_pieces, placed_spans& out) {
  std::vector<slot_span> pieces{{span.begin, span.end, true}};
  if (whole_pieces)
    pieces = cuts.pieces(span, free_.most_on_a_node());
  auto nodes = by_room(free_);
  auto count = choose_fewest(nodes, span.size(), free_);
  for (std::size_t more = 1;; more *= 2) {
    std::vector<node_id> chosen(nodes.begin(),
                                nodes.begin()
                                  + static_cast<std::ptrdiff_t>(count));
    std::sort(chosen.begin(), chosen.end());
    auto shares = chosen.empty() ? std::nullopt : fill(chosen, pieces, free_);
    if (shares) {
      for (const auto& [node, part] : *shares)
        out.emplace_back(part, free_.take_on(node, bundle_of(cuts, part)));
      return true;
    }
    if (count == nodes.size())
      return false;
    count = std::min(count + more, nodes.size());
  }
}

void topology_allotter::spill(const replica_cuts& cuts, const slot_span& span,
                              placed_spans& out) {
  if (!spill(cuts, span, true, out))
    spill(cuts, span, false, out);
}

error topology_allotter::cannot_hold(const group_plan& group,
                                     const std::vector<bundle>& bundles) const {
  std::int64_t sum = 0;
  std::int32_t largest = 0;
  for (const auto& x : bundles) {
    sum += x.devices;
    largest = std::max(largest, x.devices);
  }
  auto most = free_.most_on_a_node();
  auto name = group_name(group);
  if (strategy_ == node_strategy::strict_pack)
    return make_error(job_error::strategy_cannot_hold,
                      fmt::format("STRICT_PACK cannot hold {}: {} devices are "
                                  "required on one node, the most that is "
                                  "available on one is {}; use PACK or lower "
                                  "num_gpu",
                                  name, sum, most));
  if (largest > most)
    return make_error(job_error::strategy_cannot_hold,
                      fmt::format("STRICT_SPREAD cannot hold {}: replicas that "
                                  "share devices require {} on one node, the "
                                  "most that is available on one is {}; use "
                                  "SPREAD or smaller replicas",
                                  name, largest, most));
  std::int64_t smallest = largest;
  for (const auto& x : bundles)
    smallest = std::min<std::int64_t>(smallest, x.devices);
  std::int64_t fitting = 0;
  for (auto node : by_room(free_))
    if (free_.num_device(node) >= smallest)
      ++fitting;
  auto range = smallest == largest ? fmt::format("{}", largest)
                                   : fmt::format("{} to {}", smallest, largest);
  return make_error(job_error::strategy_cannot_hold,
                    fmt::format("STRICT_SPREAD cannot hold {}: {} nodes with "
                                "{} free devices are required, {} are "
                                "available; use SPREAD, fewer replicas or more "
                                "nodes",
                                name, bundles.size(), range, fitting));
}

result<region> topology_allotter::choose(const group_plan& group,
                                         const replica_cuts& cuts) {
  auto segments = cuts.segments();
  std::vector<bundle> bundles;
  placed_spans placed;
  if (strategy_ == node_strategy::strict_pack
      || strategy_ == node_strategy::strict_spread) {
    for (const auto& x : segments)
      bundles.push_back(bundle_of(cuts, x));
    auto places = free_.take(bundles, strategy_);
    if (!places)
      return fail(cannot_hold(group, bundles));
    for (std::size_t i = 0; i < segments.size(); ++i)
      placed.emplace_back(segments[i], std::move((*places)[i]));
  } else {
    std::vector<slot_span> narrow;
    auto most = free_.most_on_a_node();
    for (const auto& x : segments)
      if (x.size() > most)
        spill(cuts, x, placed);
      else
        narrow.push_back(x);
    for (const auto& x : narrow)
      bundles.push_back(bundle_of(cuts, x));
    auto places = free_.take_some(bundles, strategy_);
    if (strategy_ == node_strategy::pack) {
      // Equal bundles stand in the order of their devices.
      std::map<std::pair<std::int32_t, std::vector<std::int32_t>>,
               std::vector<std::size_t>>
        alike;
      for (std::size_t i = 0; i < bundles.size(); ++i)
        if (places[i])
          alike[{bundles[i].devices, bundles[i].parts}].push_back(i);
      for (const auto& entry : alike) {
        std::vector<bundle_place> sorted;
        for (auto i : entry.second)
          sorted.push_back(std::move(*places[i]));
        std::sort(sorted.begin(), sorted.end(),
                  [](const auto& a, const auto& b) {
                    return a.devices.front() < b.devices.front();
                  });
        for (std::size_t i = 0; i < sorted.size(); ++i)
          places[entry.second[i]] = std::move(sorted[i]);
      }
    }
    for (std::size_t i = 0; i < narrow.size(); ++i)
      if (places[i])
        placed.emplace_back(narrow[i], std::move(*places[i]));
    for (std::size_t i = 0; i < narrow.size(); ++i)
      if (!places[i])
        spill(cuts, narrow[i], placed);
  }
  std::sort(placed.begin(), placed.end(), [](const auto& a, const auto& b) {
    return a.first.begin < b.first.begin;
  });
  region out;
  for (const auto& entry : placed)
    append(out, entry.second);
  return out;
}

result<group_layout> topology_allotter::take(const group_plan& group,
                                             std::int64_t devices) {
  if (devices > free_.num_device())
    return fail(processes_do_not_fit(group, devices, free_.num_device()));
  auto wide = std::any_of(group.members.begin(), group.members.end(),
                          [](const model_spec* x) {
                            return !x->on_cpu() && x->gpu_per_process > 1;
                          });
  std::optional<free_resources> before;
  if (wide)
    before = free_;
  replica_cuts cuts{group.members, group.packs};
  auto chosen = choose(group, cuts);
  if (!chosen)
    return fail(std::move(chosen.error()));
  auto layout = lay_out(std::move(*chosen), group.members, group.packs);
  while (layout.missing > 0) {
    // Some process lay on two nodes and moved on, and all behind it: now only
    // the number of devices counts.
    devices += layout.missing;
    free_ = *before;
    if (devices > free_.num_device())
      return fail(processes_do_not_fit(group, devices, free_.num_device()));
    placed_spans placed;
    spill(cuts, {0, static_cast<std::int32_t>(devices), true}, false, placed);
    region all;
    for (const auto& entry : placed)
      append(all, entry.second);
    layout = lay_out(std::move(all), group.members, group.packs);
  }
  return layout;
}

} // namespace troupe::planner
