// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/weights/two_stage.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include <fmt/format.h>

#include "troupe/planner/weights/layout_index.hpp"
#include "troupe/planner/weights/rank_mapping.hpp"

namespace troupe::planner::weights {

namespace {

/// Positions of ranks in ascending order of their numbers.
std::vector<std::uint32_t> in_order(const shared_layout& layout) {
  std::vector<std::uint32_t> out(layout.ranks().size());
  std::iota(out.begin(), out.end(), 0);
  std::ranges::sort(out, {}, [&](auto i) { return layout.ranks()[i].rank; });
  return out;
}

std::int64_t count(const auto& x) {
  return static_cast<std::int64_t>(x.size());
}

/// Numbers devices over both models.
class device_numbers {
public:
  std::vector<std::int64_t> of(const shared_layout& layout) {
    std::vector<std::int64_t> out;
    for (auto i : in_order(layout)) {
      const auto& x = layout.ranks()[i];
      out.push_back(numbers_.try_emplace({x.node, x.device}, count(numbers_))
                      .first->second);
    }
    return out;
  }

private:
  std::map<std::pair<node_id, device_id>, std::int64_t> numbers_;
};

bool share_devices(const chatlearn::sync_request& x) {
  return std::ranges::any_of(x.destination.gpu, [&](auto gpu) {
    return std::ranges::find(x.source.gpu, gpu) != x.source.gpu.end();
  });
}

chatlearn::sync_request make_request(const shared_layout& source,
                                     const layout_sizes& from,
                                     const shared_layout& destination,
                                     const layout_sizes& to) {
  chatlearn::sync_request out;
  device_numbers devices;
  out.source.tensor = from.tensor;
  out.source.pipeline = from.pipeline;
  out.source.expert = from.expert;
  out.source.gpu = devices.of(source);
  auto num_source = count(source.ranks());
  out.source.dp_size = num_source / (from.tensor * from.pipeline);
  auto copies = out.source.dp_size / from.expert;
  for (std::int64_t r = 0; r < num_source; ++r) {
    out.source.dp_rank.push_back(r / from.tensor % out.source.dp_size);
    out.source.data_index.push_back(r / (from.tensor * from.expert) % copies);
  }
  out.destination.tensor = to.tensor;
  out.destination.pipeline = to.pipeline;
  out.destination.expert = to.expert;
  out.destination.is_vllm = to.expert == 1;
  out.destination.gpu = devices.of(destination);
  auto replica = to.tensor * to.pipeline * to.expert;
  out.destination.replica_sizes.assign(destination.ranks().size()
                                         / static_cast<std::size_t>(replica),
                                       replica);
  if (from.expert > 1 || to.expert > 1)
    out.variant = chatlearn::sync_variant::hep;
  out.colocated = share_devices(out);
  return out;
}

void separate_devices(chatlearn::sync_request& x) {
  std::iota(x.source.gpu.begin(), x.source.gpu.end(), 0);
  std::iota(x.destination.gpu.begin(), x.destination.gpu.end(),
            count(x.source.gpu));
  x.colocated = false;
}

/// From ranks by their order to positions in the layouts.
void renumber(rank_mapping& x, const std::vector<std::uint32_t>& source,
              const std::vector<std::uint32_t>& destination) {
  for (auto* list : {&x.sends, &x.routed})
    for (auto& [from, to] : *list) {
      from = source[from];
      to = destination[to];
    }
  for (auto& [from, to] : x.hand_ons) {
    from = destination[from];
    to = destination[to];
  }
  for (auto& group : x.gathers)
    for (auto& rank : group)
      rank = source[rank];
}

} // namespace

result<layout_sizes> sizes_of(const shared_layout& layout) {
  name_table names;
  layout_index index{layout, names};
  layout_sizes out;
  auto num_rank = layout.ranks().size();
  std::vector<std::vector<std::uint32_t>> dense(num_rank);
  std::vector<std::vector<std::uint32_t>> experts(num_rank);
  for (std::uint32_t i = 0; i < names.size(); ++i) {
    auto routed = is_routed(names[i]);
    std::set<std::vector<std::int64_t>> boxes;
    std::set<std::uint32_t> ranks;
    for (const auto& x : index.of(i)) {
      std::vector<std::int64_t> key;
      for (std::size_t d = 0; d < x.where.dims(); ++d)
        key.insert(key.end(), {x.where[d].begin, x.where[d].end});
      boxes.insert(std::move(key));
      auto holders = index.sets()[x.holders];
      ranks.insert(holders.begin(), holders.end());
    }
    for (auto rank : ranks)
      (routed ? experts : dense)[rank].push_back(i);
    if (!routed)
      out.tensor = std::max(out.tensor, count(boxes));
  }
  std::map<std::vector<std::uint32_t>, std::set<std::vector<std::uint32_t>>>
    stages;
  for (std::size_t i = 0; i < num_rank; ++i)
    stages[dense[i]].insert(experts[i]);
  out.pipeline = count(stages);
  for (const auto& [tensors, sets] : stages)
    out.expert = std::max(out.expert, count(sets));
  auto product = out.tensor * out.pipeline * out.expert;
  if (count(layout.ranks()) % product != 0)
    return fail(errc::invalid,
                fmt::format("model '{}': its {} ranks hold parts of {} tensor "
                            "x {} pipeline x {} expert ranks, which does not "
                            "divide them; reshard maps any layout",
                            layout.model(), num_rank, out.tensor, out.pipeline,
                            out.expert));
  return out;
}

result<transfer_plan> two_stage(const shared_layout& source,
                                const shared_layout& destination) {
  auto from = sizes_of(source);
  if (!from)
    return fail(from.error());
  auto to = sizes_of(destination);
  if (!to)
    return fail(to.error());
  auto request = make_request(source, *from, destination, *to);
  auto pairs = chatlearn::map_ranks(request);
  if (!pairs) {
    separate_devices(request);
    pairs = chatlearn::map_ranks(request);
  }
  if (!pairs)
    return fail(errc::invalid,
                fmt::format("'{}' (tensor {}, pipeline {}, expert {}) -> '{}' "
                            "(tensor {}, pipeline {}, expert {}): ChatLearn "
                            "refuses: {}; reshard maps any layout",
                            source.model(), from->tensor, from->pipeline,
                            from->expert, destination.model(), to->tensor,
                            to->pipeline, to->expert, pairs.error().message));
  auto mapping = to_mapping(*pairs, source.ranks().size());
  renumber(mapping, in_order(source), in_order(destination));
  return map_transfers(mapping, source, destination);
}

} // namespace troupe::planner::weights
