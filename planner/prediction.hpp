// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "troupe/core/error.hpp"
#include "troupe/planner/cost_model.hpp"
#include "troupe/planner/model_profile.hpp"
#include "troupe/planner/model_spec.hpp"
#include "troupe/planner/placement.hpp"
#include "troupe/planner/sync_prediction.hpp"

namespace troupe::planner {

/// The slowest links inside the groups of a model.
struct model_links {
  link_class tensor = link_class::domain;
  link_class data = link_class::domain;

  bool operator==(const model_links&) const = default;
};

/// Seconds that a model needs in one episode, all its work, by formula
/// (docs/planner_formulas.md). `where` gives the NICs. With the default links
/// this is a lower bound over all placements: no group is nearer than a link
/// domain. O(pipeline).
[[nodiscard]] double
model_seconds(const model_spec& spec, const model_profile& profile,
              const workload& work, const cost_model& costs,
              const node_spec& where, const model_links& links = {}) noexcept;

/// Seconds that moving a model's weights and optimizer states between its
/// devices and their hosts adds to an episode, once there and once back; 0
/// without offload. O(pipeline).
[[nodiscard]] double offload_seconds(const model_spec& spec,
                                     const model_profile& profile,
                                     const cost_model& costs) noexcept;

struct model_time {
  std::string name;
  model_role role = model_role::score;
  model_links links;
  double work_seconds = 0;
  double offload_seconds = 0;

  [[nodiscard]] double total() const noexcept {
    return work_seconds + offload_seconds;
  }
};

/// The predicted time of one episode.
struct iteration_prediction {
  /// Generating and scoring.
  double generation_seconds = 0;
  double training_seconds = 0;
  double sync_seconds = 0;
  /// Models with a profile, in the order of the placement.
  std::vector<model_time> models;
  /// In the order of the job.
  std::vector<sync_prediction> syncs;

  [[nodiscard]] double total() const noexcept {
    return generation_seconds + training_seconds + sync_seconds;
  }
};

/// Predicts an episode: models that share a device take turns, others work side
/// by side; scoring follows generation (streams behind it if the workload comes
/// in batches), then training, then the syncs. Models without a profile and CPU
/// models take no time. Fails with `errc::invalid` if sizes and placement
/// disagree or a number of the workload or cost model is not above zero.
/// O(models * devices + ranks).
[[nodiscard]] result<iteration_prediction>
predict_iteration(const placement& plan, const job_spec& job,
                  const cluster& machines,
                  std::span<const model_profile> profiles, const workload& work,
                  const cost_model& costs = {});

} // namespace troupe::planner
