// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "troupe/planner/chatlearn/refusal.hpp"
#include "troupe/planner/chatlearn/schedule.hpp"

namespace troupe::planner::chatlearn {

/// How weights travel.
enum class sync_comm : std::uint8_t { broadcast, p2p };

/// How the routed experts of a stage are brought together first.
enum class regroup_comm : std::uint8_t { alltoall, allgather };

/// Which of ChatLearn's sync groups decides.
enum class sync_variant : std::uint8_t {
  /// ParameterSyncGroup.
  base,
  /// ParameterSyncGroupwithHEP: routed experts are spread over tensor x expert
  /// ranks ("hyper expert parallel").
  hep,
};

/// The model that sends. Rank r of the source has the global number r.
struct sync_source {
  std::int64_t tensor = 1;
  std::int64_t pipeline = 1;
  std::int64_t expert = 1;
  /// Names the GPU of each rank; equal numbers are one GPU.
  std::vector<std::int64_t> gpu;
  /// Data-parallel size, experts counted as data.
  std::int64_t dp_size = 1;
  /// Data index of each rank in the same sense.
  std::vector<std::int64_t> dp_rank;
  /// Data index of each rank without experts.
  std::vector<std::int64_t> data_index;
};

/// The model that receives. Its global numbers follow the source's, replica by
/// replica.
struct sync_destination {
  std::int64_t tensor = 1;
  std::int64_t pipeline = 1;
  std::int64_t expert = 1;
  /// vLLM knows no expert size: `expert` counts as 1.
  bool is_vllm = false;
  std::vector<std::int64_t> replica_sizes;
  std::vector<std::int64_t> gpu;
};

struct sync_request {
  sync_variant variant = sync_variant::base;
  sync_comm comm = sync_comm::broadcast;
  regroup_comm regroup = regroup_comm::alltoall;
  /// The two models share GPUs.
  bool colocated = false;
  sync_source source;
  sync_destination destination;
};

using rank_pairs = std::vector<std::pair<std::int64_t, std::int64_t>>;

/// Who sends to whom, and when.
struct sync_plan {
  sync_comm comm = sync_comm::broadcast;
  regroup_comm regroup = regroup_comm::alltoall;
  /// Destination / source sizes: of tensor (rounded down), expert, and tensor x
  /// expert.
  std::int64_t tp_map = 1;
  double ep_map = 1;
  double hep_map = 1;
  /// Source ranks of each data index; and the same with experts counted as
  /// data, for weights that are no routed experts.
  std::vector<ranks> src_dp_ranks;
  std::vector<ranks> src_dp_ranks_dense;
  /// The first stage, or all, and the second, if there are two.
  rank_pairs stage1;
  std::optional<rank_pairs> stage2;
  /// Routed experts where they travel on their own.
  rank_pairs routed;
  send_table send_recv;
  send_table send_recv2;
  send_table send_recv_routed;
  /// Source ranks that first bring their routed experts together.
  std::optional<std::vector<ranks>> regroup_groups;
  /// Order and waves of the senders of all weights (one stage), or of routed
  /// experts (two stages).
  std::optional<ranks> send_order;
  std::vector<ranks> send_waves;
  /// Steps of the second stage.
  std::vector<rank_pairs> steps;
  /// Collective groups in the order in which the first sync makes them; the
  /// root stands first.
  std::vector<ranks> groups;
  /// Rounds in which those groups are warmed up; nothing for p2p.
  std::optional<std::vector<std::vector<std::int64_t>>> warmup;
};

/// Maps source onto destination ranks as ChatLearn does.
///
/// Rule: p2p instead of broadcast if the models are colocated and both tensor
/// sizes are odd; all-gather instead of all-to-all if the tensor x expert sizes
/// differ. tp_map 1 means one stage: see `planner::map_ranks` for the cycle of
/// data groups and the folding of stages. Else two stages: source ranks feed
/// one of the tp_map destination ranks that split their slice (see
/// `candidate_table`), which hand the parts on among themselves. With HEP the
/// routed experts take a map of their own; planner/README.md has the table.
///
/// Refusals are ChatLearn's; besides, whatever it accepts and
/// `verify(plan)` objects to is refused as unsound: p2p in two stages, a
/// destination with experts in two stages, tensor sizes that do not divide,
/// routed experts nobody sends, ranks nobody reaches, a broadcast group with
/// two ranks on one GPU. What it merely executes wrongly is right here: senders
/// of uneven data groups are interleaved, no pair of stage 2 is forgotten.
/// Source: synchronizer/parameter_sync.py.
/// Complexity: O(pairs log pairs) for a bounded tp_map and number of waves.
[[nodiscard]] outcome<sync_plan> map_ranks(const sync_request& request);

/// What is wrong with a plan, a sentence each; empty if it is sound: every
/// destination rank receives, from every stage folded into its own; every pair
/// runs exactly once; no broadcast group has two ranks on one GPU; experts that
/// are spread over the source reach the destination.
/// Complexity: O(pairs log pairs).
[[nodiscard]] std::vector<std::string> verify(const sync_plan& plan,
                                              const sync_request& request);

/// Pairs for FSDP -> vLLM, where a source rank hands CUDA IPC handles to the
/// destination rank on its own GPU. ChatLearn zips the source's ranks with the
/// destination's, each replica reversed, which finds the same GPU only if no
/// replica spans nodes; where it does not, pairs are made by GPU. Refused
/// (unsound): a destination rank whose GPU no source rank is on.
/// Source: synchronizer/parameter_sync_fsdp.py. Complexity: O(ranks).
[[nodiscard]] outcome<rank_pairs> map_fsdp_ranks(const sync_request& request);

} // namespace troupe::planner::chatlearn
