// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/protocol/register.hpp"
#include "troupe/planner/placement.hpp"

namespace troupe::engine {

/// Asks for the placement of a job. Stays in the driver's process.
struct plan_request {
  planner::job_spec job;
};

using planner_actor = caf::typed_actor<
  caf::replies_to<plan_request>::with<planner::placement>>;

/// Knows the machines of the job and places models on them with the pure
/// functions of planner/. A placement that its own verifier rejects is a bug
/// and is refused as one.
class job_planner : public planner_actor::base {
public:
  job_planner(caf::actor_config& config, troupe::planner::cluster machines);

  const char* name() const override;

protected:
  behavior_type make_behavior() override;

private:
  troupe::planner::cluster machines_;
};

} // namespace troupe::engine

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::engine::plan_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::planner::placement)
