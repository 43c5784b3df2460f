// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/actors/config/schema.hpp"

namespace troupe::planning {

/// The models and syncs of the application `grpo`, which cannot be linked
/// without libtorch.
inline config::app_schema schema_for_plans() {
  config::app_schema x;
  x.name = "grpo";
  x.models = {{"policy_trainer", true, false, {}},
              {"policy", false, false, {}},
              {"reference", false, false, {}},
              {"reward", false, true, {}}};
  x.syncs = {{"policy_trainer", "policy", 1},
             {"policy_trainer", "reference", 0}};
  return x;
}

} // namespace troupe::planning
