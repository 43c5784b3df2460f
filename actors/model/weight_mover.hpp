// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>

#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/model/worker_state.hpp"
#include "troupe/actors/model/worker_threads.hpp"
#include "troupe/actors/protocol/register.hpp"

namespace troupe::model {

/// Runs one rank's transfers beside its worker, so that a replica can serve
/// while its next weights arrive. Each sync has a thread of its own: two syncs
/// of one source that started in different orders at two ranks would otherwise
/// wait for each other.
class weight_mover : public protocol::mover_actor::base {
public:
  weight_mover(caf::actor_config& config, protocol::worker_name worker,
               std::shared_ptr<worker_probe> probe, worker_threads threads);

  const char* name() const override;

  void on_exit() override;

protected:
  behavior_type make_behavior() override;

private:
  protocol::worker_name worker_;
  std::shared_ptr<worker_probe> probe_;
  worker_threads threads_;
  std::map<std::string, protocol::mover_actor> agents_;
};

} // namespace troupe::model
