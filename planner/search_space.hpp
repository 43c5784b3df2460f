// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "troupe/planner/candidate.hpp"

namespace troupe::planner {

/// Beyond this many models not every colocation is tried.
inline constexpr std::size_t max_partitioned_models = 8;

/// Colocations of the models of a job, by index; models alone have groups of
/// one. The given one comes first; then every partition in the order of its
/// restricted growth string, or, beyond `max_partitioned_models`, all together
/// and none together. CPU models are left out.
[[nodiscard]] std::vector<std::vector<std::vector<std::size_t>>>
colocations_of(const job_spec& job);

/// `job.colocation` for one of them.
[[nodiscard]] std::vector<std::vector<std::string>>
names_of(const job_spec& job,
         const std::vector<std::vector<std::size_t>>& groups);

/// One choice of sizes for a model.
struct size_option {
  model_spec spec;
  /// No placement makes it faster.
  double least_seconds = 0;
};

/// Sizes tried for a model, fastest first:
///   tensor   powers of two up to the devices of a node that divide the
///            attention heads, and the given size;
///   copies   (data copies of a trained model, replicas of any other) powers of
///            two, the most that fit, and the given number.
/// Pipeline, context and expert sizes stay. Sizes that fit no device even alone
/// are left out. CPU models and models without a profile keep what they have.
[[nodiscard]] std::vector<size_option> size_options(const plan_problem& problem,
                                                    const model_spec& spec);

} // namespace troupe::planner
