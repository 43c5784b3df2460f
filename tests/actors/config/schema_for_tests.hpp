// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/actors/config/schema.hpp"

namespace troupe::config {

/// An application with a trained model, two that follow, and a CPU model.
inline app_schema schema_for_tests() {
  app_schema out;
  out.name = "grpo";
  out.models = {
    {"policy_trainer", true, false, {{"learning_rate", 4e-4, "AdamW's"}}},
    {"policy",
     false,
     false,
     {{"temperature", 1.0, "of sampling"},
      {"greedy", false, "no sampling"},
      {"stop", std::string{"\n"}, "ends a completion"},
      {"max_tokens", std::int64_t{4}, "of a completion"}}},
    {"reference", false, false, {}},
    {"reward", false, true, {}},
  };
  out.options = {{"group_size", std::int64_t{8}, "samples of a prompt"},
                 {"num_episode", std::int64_t{10}, ""}};
  out.syncs = {{"policy_trainer", "policy"}};
  return out;
}

/// A configuration of it in which everything is right.
inline const char* good_yaml() {
  return "app: grpo\n" // 1
         "models:\n" // 2
         "  policy_trainer:\n" // 3
         "    num_gpu: 2\n" // 4
         "  policy:\n" // 5
         "    num_gpu: 2\n" // 6
         "    temperature: 1\n" // 7
         "  reference:\n" // 8
         "    num_gpu: 2\n" // 9
         "runtime:\n" // 10
         "  colocation: [[policy_trainer, policy," // 11
         " reference]]\n" //
         "  seed: 3\n"; // 12
}

} // namespace troupe::config
