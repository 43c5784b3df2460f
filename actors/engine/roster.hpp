// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "troupe/core/ids.hpp"
#include "troupe/planner/cluster.hpp"
#include "troupe/planner/model_spec.hpp"
#include "troupe/planner/placement.hpp"

namespace troupe::engine {

/// How a model comes to another number of replicas.
struct roster_change {
  std::vector<std::pair<replica_id, planner::replica_place>> add;
  std::vector<replica_id> remove;
};

/// Which replicas a job has now, and where each is: a value. A replica keeps
/// its number as long as it lives; new ones take the lowest that are free.
class roster {
public:
  roster() = default;
  roster(planner::job_spec job, planner::cluster machines,
         const planner::placement& plan);

  [[nodiscard]] std::int32_t num_replica(const std::string& model) const;

  /// To `num_replica` (> 0) of a model: more are placed one by one
  /// (`planner::place_one_more`), fewer are those with the highest numbers.
  /// Errors: `errc::invalid` (no such model), `errc::exhausted` (no place).
  [[nodiscard]] result<roster_change> change(const std::string& model,
                                             std::int32_t num_replica) const;

  void apply(const std::string& model, const roster_change& x);

  /// Forgets the replicas of a model that are none of these.
  void keep_only(const std::string& model, const std::set<replica_id>& ids);

  /// As a plan to begin with: there a replica's number is its place in the
  /// list.
  [[nodiscard]] planner::placement plan() const;

  /// Devices of each node.
  [[nodiscard]] std::vector<std::int32_t> devices_per_node() const;

private:
  planner::job_spec job_;
  planner::cluster machines_;
  planner::placement first_;
  std::map<std::string, std::map<replica_id, planner::replica_place>> models_;
};

} // namespace troupe::engine
