// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/planner_actor.hpp"

#include <caf/result.hpp>

namespace troupe::engine {

job_planner::job_planner(caf::actor_config& config,
                         troupe::planner::cluster machines)
  : planner_actor::base(config),
    machines_(std::move(machines)) {
  // nop
}

const char* job_planner::name() const {
  return "planner";
}

job_planner::behavior_type job_planner::make_behavior() {
  return {
    [this](const plan_request& x) -> caf::result<planner::placement> {
      auto plan = planner::place(x.job, machines_);
      if (!plan)
        return protocol::to_caf(plan.error());
      auto problems = planner::verify(*plan, x.job, machines_);
      if (!problems.empty())
        return protocol::to_caf({errc::internal, problems.front()});
      return std::move(*plan);
    },
  };
}

} // namespace troupe::engine
