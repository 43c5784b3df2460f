// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "troupe/core/error.hpp"
#include "troupe/planner/allotment.hpp"
#include "troupe/planner/replica_cuts.hpp"
#include "troupe/planner/topology.hpp"

namespace troupe::planner {

/// Gives colocation groups their devices, one group after another, by strategy,
/// node and link domain (the rule: `allot_devices`). The cluster must outlive
/// it. One thread at a time.
class topology_allotter {
public:
  /// `widest_domain` is 0 where domains tell nothing apart.
  topology_allotter(const cluster& machines, node_strategy strategy,
                    std::int32_t widest_domain)
    : free_(machines),
      strategy_(strategy),
      widest_domain_(widest_domain) {
    // nop
  }

  /// Fails with `job_error::strategy_cannot_hold` or, where processes of
  /// several devices do not fit the nodes, `job_error::not_enough_devices`;
  /// what was taken for the group by then is lost.
  [[nodiscard]] result<group_layout> take(const group_plan& group,
                                          std::int64_t devices);

private:
  /// Slots and where they are.
  using placed_spans = std::vector<std::pair<slot_span, bundle_place>>;

  [[nodiscard]] bundle bundle_of(const replica_cuts& cuts,
                                 const slot_span& span) const;
  [[nodiscard]] result<region> choose(const group_plan& group,
                                      const replica_cuts& cuts);
  [[nodiscard]] error cannot_hold(const group_plan& group,
                                  const std::vector<bundle>& bundles) const;
  bool spill(const replica_cuts& cuts, const slot_span& span, bool whole_pieces,
             placed_spans& out);
  void spill(const replica_cuts& cuts, const slot_span& span,
             placed_spans& out);

  free_resources free_;
  node_strategy strategy_;
  std::int32_t widest_domain_;
};

} // namespace troupe::planner
