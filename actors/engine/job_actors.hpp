// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <caf/actor_system.hpp>

#include "troupe/actors/engine/engine.hpp"
#include "troupe/actors/engine/job_nodes.hpp"
#include "troupe/planner/placement.hpp"

// Makes the actors of a job that the engine works with.
namespace troupe::engine {

/// Those that a failure can leave whole: models and where their batches are.
struct job_body {
  std::map<std::string, protocol::dist_model_actor> models;
  protocol::storage_actor storage;
  protocol::device_desk_actor desk;
};

/// Whether `model` does not train, and either syncs that a run which goes on
/// does first write its weights or nobody does (`worker_context::weights_return`).
[[nodiscard]] bool weights_return(const application& app,
                                  const config::job_config& config,
                                  std::string_view model);

/// `attempt` counts how often the run was begun: what models of an earlier one
/// report ends no later one.
[[nodiscard]] job_body make_body(const application& app,
                                 const config::job_config& config,
                                 const planner::placement& plan,
                                 job_nodes& nodes, caf::actor_system& system,
                                 const protocol::error_signal_actor& errors,
                                 std::uint32_t attempt);

/// Sync groups of these models. Links of one attempt are not taken for those of
/// another.
[[nodiscard]] std::vector<engine_sync>
make_syncs(const application& app, const config::job_config& config,
           const job_body& body, caf::actor_system& system,
           std::uint32_t attempt);

} // namespace troupe::engine
