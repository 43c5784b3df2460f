// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/call/caller.hpp"
#include "troupe/actors/protocol/register.hpp"

namespace troupe::engine {

/// Repairs all models. Sender: driver. Stays in its process.
struct repair_all {};

/// All models are repaired, or one could not be. Sender: repair_crew.
struct repair_ended {
  result<std::map<std::string, protocol::repaired>> models;
};

using repair_crew_actor = caf::typed_actor<caf::reacts_to<repair_all>>;

using repair_owner_actor = caf::typed_actor<caf::reacts_to<repair_ended>>;

/// Tells all models at once to become whole, waits for their answers, and ends.
class repair_crew : public repair_crew_actor::base {
public:
  repair_crew(caf::actor_config& config,
              std::map<std::string, protocol::dist_model_actor> models,
              std::map<std::string, protocol::repair_model> orders,
              repair_owner_actor owner);

  const char* name() const override;

protected:
  behavior_type make_behavior() override;

private:
  void begin();

  std::map<std::string, protocol::dist_model_actor> models_;
  std::map<std::string, protocol::repair_model> orders_;
  repair_owner_actor owner_;
  call::caller<repair_crew> calls_;
};

} // namespace troupe::engine

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::engine::repair_all)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::engine::repair_ended)
