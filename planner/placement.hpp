// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "troupe/core/error.hpp"
#include "troupe/core/ids.hpp"
#include "troupe/planner/cluster.hpp"
#include "troupe/planner/model_spec.hpp"

namespace troupe::planner {

/// Where one rank's process is. `devices` are the `gpu_per_process` devices it
/// holds, its host lives on the first; empty for a CPU model.
struct rank_place {
  node_id node;
  std::vector<device_id> devices;

  bool operator==(const rank_place&) const = default;
};

/// `ranks[r]` is the place of rank r.
struct replica_place {
  std::vector<rank_place> ranks;

  bool operator==(const replica_place&) const = default;
};

struct model_place {
  std::string name;
  std::vector<replica_place> replicas;
  /// Models it shares devices with.
  std::vector<std::string> colocated;
  /// Its order inside a node is reversed.
  bool reversed = false;
  /// Why it is here, a sentence each, for people.
  std::vector<std::string> reasons;

  bool operator==(const model_place&) const = default;
};

/// The plan of a job: one entry for each model, in the order of the job spec.
struct placement {
  std::vector<model_place> models;
  /// What works but wastes or surprises, a sentence each.
  std::vector<std::string> warnings;

  /// Null if there is no such model.
  [[nodiscard]] const model_place* find(std::string_view name) const noexcept;

  bool operator==(const placement&) const = default;
};

/// Troupe's placement strategy: ChatLearn's result where ChatLearn accepts
/// soundly, and a sound one where it does not (see planner/README.md).
/// Pure and deterministic. Fails with `errc::invalid` (sizes that do not
/// divide, unknown or duplicate names) or `errc::exhausted` (not enough
/// devices; names how many are required and available); job_error.hpp lists
/// the codes.
///
/// Rule, group by group in the order of the job, models in no group after them
/// as groups of one: the group takes as many devices as its largest model
/// needs, where strategy and topology say (`allot_devices`), `find_packs` says which models stand side by side,
/// members of a pack hold consecutive devices, a replica's ranks follow the
/// devices, and `reversed_models` get the opposite order inside each node.
/// Source: ChatLearn's schedule/model_manager.py, without its defects (see
/// docs/chatlearn.md).
/// Complexity: O(r + d + n log n) for r ranks, d devices, n models and nodes.
[[nodiscard]] result<placement> place(const job_spec& job,
                                      const cluster& machines);

/// Finds everything that is wrong with a placement: a rank without a device, a
/// device held twice by one model, a process on two nodes, a replica that
/// returns to a node it has left, ranks of a link domain out of order, a
/// promise of STRICT_PACK or STRICT_SPREAD that is not kept...
/// One sentence for each problem; empty if the placement is sound. Knows
/// nothing of how a placement is made. Complexity: O(ranks + devices).
[[nodiscard]] std::vector<std::string>
verify(const placement& plan, const job_spec& job, const cluster& machines);

} // namespace troupe::planner
