// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "troupe/actors/process/batch_store.hpp"
#include "troupe/actors/protocol/leases.hpp"
#include "troupe/actors/protocol/monitor.hpp"
#include "troupe/actors/protocol/process.hpp"
#include "troupe/planner/model_spec.hpp"
#include "troupe/planner/placement.hpp"

namespace troupe::model {

/// What dist_model and its replicas know of their model from the start.
struct model_job {
  planner::model_spec spec;
  planner::model_place place;
  /// `options::encode` of the model's options.
  protocol::payload config;
  std::uint64_t seed = 0;
  std::int32_t num_threads = 1;
  protocol::memory_rules memory;
  /// See worker_context::weights_return.
  bool weights_return = false;
  std::chrono::milliseconds collective_timeout{30'000};
  /// How long ranks that a failure has left may be busy.
  std::chrono::milliseconds rejoin_timeout{10'000};
  /// Of the run; a repair is for a later one.
  std::uint32_t attempt = 0;
};

/// Whom they talk to besides each other.
struct model_surroundings {
  /// By node id.
  std::vector<protocol::node_actor> nodes;
  protocol::error_signal_actor errors;
  /// Devices of each node, so that a global device number finds its node's.
  std::vector<std::int32_t> devices_per_node;
  /// The driver's store; outlives the actors.
  process::batch_store* store = nullptr;
  /// The nodes are on other machines.
  bool far_nodes = false;
  /// Null: nobody else uses the models' devices.
  protocol::device_desk_actor desk = {};
  /// Of the job: those that share devices may be set up one after the other.
  std::uint32_t models = 1;
};

} // namespace troupe::model
