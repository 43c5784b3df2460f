// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "troupe/core/error.hpp"
#include "troupe/planner/group_layout.hpp"
#include "troupe/planner/resolved_job.hpp"

namespace troupe::planner {

/// One colocation group on its way into a plan.
struct group_plan {
  std::vector<const model_spec*> members;
  /// The device models among `members`, cut into packs.
  std::vector<pack> packs;
  group_layout layout;
};

/// "a + b + c" for a group, shortened.
[[nodiscard]] std::string group_name(const group_plan& group);

/// The refusal of processes that no order of the nodes has room for.
[[nodiscard]] error processes_do_not_fit(const group_plan& group,
                                         std::int64_t wanted,
                                         std::int64_t left);

/// Gives every group its devices: fills in `layout`. Adds a sentence to
/// `warnings` where it left the order of the job.
///
/// Rule: for PACK, device_pool's first fit, in the order of the job. If that
/// tears a replica that would fit into a node or a link domain, and the cluster
/// has nodes of different sizes or several link domains in one, then the
/// topology decides; for the other strategies it always does:
///  1. replicas that share slots form a bundle (replica_cuts.hpp);
///  2. bundles larger than any node take the emptiest nodes, in the order of
///     their numbers, cut where no smaller replica is torn;
///  3. the others choose nodes by `free_resources::take`, so that they, or else
///     the replicas inside, stay in one link domain;
///  4. what then fits no node is cut like 2. The strict strategies refuse
///     instead: `job_error::strategy_cannot_hold`.
/// Whatever decided, if something is torn that would fit, all is tried again
/// with the largest group first, and (topology) with the widest replica first;
/// the attempt that tears least wins: first
/// over nodes (groups, for first fit on equal nodes), then over domains.
/// Complexity: O(devices + replicas + groups log nodes); with topology
/// O(nodes) more for each bundle larger than a node.
[[nodiscard]] std::optional<error>
allot_devices(std::vector<group_plan>& groups, const job_spec& job,
              const resolved_job& jobs, const cluster& machines,
              std::vector<std::string>& warnings);

} // namespace troupe::planner
