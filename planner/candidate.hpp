// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "troupe/core/error.hpp"
#include "troupe/planner/memory_remedy.hpp"
#include "troupe/planner/memory_report.hpp"
#include "troupe/planner/prediction.hpp"

namespace troupe::planner {

/// A job on a cluster with all that is needed to judge a plan of it.
struct plan_problem {
  job_spec job;
  std::vector<model_profile> profiles;
  cluster machines;
  workload work;
  cost_model costs;
  memory_settings memory;
};

/// One way to run the job of a problem.
struct plan_candidate {
  job_spec job;
  std::vector<model_profile> profiles;
  placement plan;
  iteration_prediction prediction;
  /// The fullest device.
  std::uint64_t peak_bytes = 0;
  /// Why it beats the given plan, a sentence each.
  std::vector<std::string> reasons;
};

/// Places `job`, checks its memory and predicts its time. Fails as these do;
/// over-committed memory is `errc::exhausted`.
[[nodiscard]] result<plan_candidate>
evaluate_candidate(const plan_problem& problem, job_spec job,
                   std::vector<model_profile> profiles,
                   const place_function& place);

/// What `better` does otherwise than `given` (sizes, colocation, order,
/// offload), and what each phase gains or loses by it, a sentence each.
[[nodiscard]] std::vector<std::string>
compare_candidates(const plan_candidate& given, const plan_candidate& better);

/// The same where the given plan cannot run: what is otherwise in `job`.
[[nodiscard]] std::vector<std::string>
describe_changes(const job_spec& given,
                 std::span<const model_profile> given_profiles,
                 const job_spec& job, std::span<const model_profile> profiles);

} // namespace troupe::planner
