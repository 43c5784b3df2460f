// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/weights/figures.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace troupe::planner::weights {

namespace {

double seconds_of(const link_bytes& x, const cost_model& costs) {
  return static_cast<double>(x[link_kind::inproc]) / costs.device_bandwidth
         + static_cast<double>(x[link_kind::shm]) / costs.node_bandwidth
         + static_cast<double>(x[link_kind::gloo]) / costs.nic_bandwidth;
}

/// What devices and nodes do in one direction.
class traffic {
public:
  void add(const shared_layout& layout, const std::vector<link_bytes>& ranks) {
    for (std::size_t i = 0; i < ranks.size(); ++i) {
      const auto& who = layout.ranks()[i];
      auto& device = devices_[{who.node, who.device}];
      for (auto link : all_links)
        device[link] += ranks[i][link];
      nodes_[who.node] += ranks[i][link_kind::gloo];
    }
  }

  [[nodiscard]] double seconds(const cost_model& costs) const {
    double longest = 0;
    for (const auto& [place, bytes] : devices_)
      longest = std::max(longest, seconds_of(bytes, costs));
    for (const auto& [node, bytes] : nodes_)
      longest = std::max(longest,
                         static_cast<double>(bytes) / costs.nic_bandwidth);
    return longest;
  }

private:
  std::map<std::pair<node_id, device_id>, link_bytes> devices_;
  std::map<node_id, std::uint64_t> nodes_;
};

/// Bytes of the ways that lead over another rank: the same box takes the same
/// way once, whoever it is for.
class detours {
public:
  void add(const planned_transfer& x) {
    if (x.gathered_by && *x.gathered_by != x.source)
      add(0, x.source, *x.gathered_by, x);
    if (!x.handed_on_by)
      return;
    auto last = std::ranges::find(x.destinations, *x.handed_on_by)
                != x.destinations.end();
    if (!last)
      add(1, x.gathered_by.value_or(x.source), *x.handed_on_by, x);
  }

  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

private:
  void add(int kind, rank_id from, rank_id to, const planned_transfer& x) {
    std::vector<std::int64_t> where;
    for (std::size_t i = 0; i < x.where.dims(); ++i)
      where.insert(where.end(), {x.where[i].begin, x.where[i].end});
    if (known_.emplace(kind, from, to, x.logical, std::move(where)).second)
      bytes_ += x.bytes;
  }

  std::set<
    std::tuple<int, rank_id, rank_id, std::uint32_t, std::vector<std::int64_t>>>
    known_;
  std::uint64_t bytes_ = 0;
};

} // namespace

plan_figures measure(const transfer_plan& plan, const shared_layout& source,
                     const shared_layout& destination,
                     const cost_model& costs) {
  plan_figures out;
  out.sent.resize(source.ranks().size());
  out.received.resize(destination.ranks().size());
  detours ways;
  for (const auto& x : plan.transfers) {
    auto from = source.position_of(x.source);
    if (!from)
      continue;
    ways.add(x);
    for (auto rank : x.destinations)
      if (auto to = destination.position_of(rank)) {
        out.by_link[x.link] += x.bytes;
        out.sent[*from][x.link] += x.bytes;
        out.received[*to][x.link] += x.bytes;
      }
  }
  out.bytes_total = out.by_link.total();
  out.bytes_detour = ways.bytes();
  for (const auto& x : out.sent)
    out.max_bytes_sent = std::max(out.max_bytes_sent, x.total());
  for (const auto& x : out.received)
    out.max_bytes_received = std::max(out.max_bytes_received, x.total());
  traffic away;
  away.add(source, out.sent);
  traffic home;
  home.add(destination, out.received);
  out.predicted_seconds = costs.sync_seconds
                          + std::max(away.seconds(costs), home.seconds(costs));
  return out;
}

} // namespace troupe::planner::weights
