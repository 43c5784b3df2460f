// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "troupe/core/transfer_plan.hpp"
#include "troupe/planner/chatlearn/rank_map.hpp"
#include "troupe/planner/weights/shared_layout.hpp"

namespace troupe::planner::weights {

/// Who may send to whom, as ChatLearn decides it from sizes alone. Source ranks
/// are positions in the source's layout, destination ranks in the
/// destination's.
struct rank_mapping {
  using pairs = std::vector<std::pair<std::uint32_t, std::uint32_t>>;

  /// (source, destination).
  pairs sends;
  /// (destination, destination): the first hands on what it has received.
  pairs hand_ons;
  /// (source, destination) for routed experts, if they have pairs of their own.
  pairs routed;
  /// Source ranks that bring together what they hold before one of them sends
  /// it: of routed experts, or of all tensors.
  std::vector<std::vector<std::uint32_t>> gathers;
  bool gathers_all = false;
};

/// Pairs and groups of ParameterSyncGroup and ParameterSyncGroupwithHEP, of
/// which `num_source` ranks are the source's.
[[nodiscard]] rank_mapping to_mapping(const chatlearn::sync_plan& plan,
                                      std::size_t num_source);

/// Pairs of FSDP -> vLLM: all source ranks gather all weights first.
[[nodiscard]] rank_mapping to_mapping(const chatlearn::rank_pairs& fsdp_pairs,
                                      std::size_t num_source);

/// Whether a logical tensor belongs to a routed expert: `.experts.` is in its
/// name, as in Mixtral, Qwen and DeepSeek.
[[nodiscard]] bool is_routed(std::string_view logical) noexcept;

/// Plans what the pairs of a mapping carry. A destination takes each box from
/// the first of its pairs whose source holds it; then from one that hands it
/// on; then from one whose group gathers it. Boxes that no pair brings are left
/// out: `verify` names them. `planned_transfer::source` is the rank that holds
/// the box; the way, if there is one, stands beside it.
/// O(flows x destinations x pairs of a destination).
[[nodiscard]] transfer_plan
map_transfers(const rank_mapping& mapping, const shared_layout& source,
              const shared_layout& destination,
              const std::function<bool(std::string_view)>& routed = is_routed);

} // namespace troupe::planner::weights
