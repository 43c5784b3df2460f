// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/core/units.hpp"
#include "troupe/planner/model_profile.hpp"
#include "troupe/planner/model_spec.hpp"
#include "troupe/planner/placement.hpp"

namespace troupe::planner::testing {

/// Llama 3 8B.
inline model_shape llama_8b() {
  model_shape x;
  x.hidden_size = 4096;
  x.num_hidden_layers = 32;
  x.num_attention_heads = 32;
  x.num_key_value_heads = 8;
  x.intermediate_size = 14336;
  x.vocab_size = 128256;
  return x;
}

inline model_spec spec_of(std::string name, std::int32_t tensor,
                          std::int32_t data, std::int32_t replicas) {
  model_spec x;
  x.name = std::move(name);
  x.parallel.tensor = tensor;
  x.parallel.data = data;
  x.num_replica = replicas;
  x.num_gpu = tensor * data * replicas;
  return x;
}

inline model_profile profile_of(std::string name, model_role role) {
  model_profile x;
  x.name = std::move(name);
  x.shape = llama_8b();
  x.parameters = *count_parameters(*x.shape);
  x.role = role;
  x.order = role == model_role::train ? rank_order::megatron : rank_order::vllm;
  return x;
}

/// GRPO on one node: a trainer, the policy that generates, a reference, all on
/// the same eight devices.
struct sample_job {
  job_spec job;
  std::vector<model_profile> profiles;

  sample_job() {
    job.models.push_back(spec_of("policy_trainer", 4, 2, 1));
    job.models.back().trainable = true;
    job.models.push_back(spec_of("policy", 2, 1, 4));
    job.models.push_back(spec_of("reference", 4, 1, 2));
    job.colocation = {{"policy_trainer", "policy", "reference"}};
    job.syncs = {{"policy_trainer", "policy"}};
    profiles.push_back(profile_of("policy_trainer", model_role::train));
    profiles.push_back(profile_of("policy", model_role::generate));
    profiles.push_back(profile_of("reference", model_role::score));
  }
};

inline cluster machines_of(std::int32_t nodes, std::int32_t devices,
                           std::uint64_t memory_bytes) {
  auto x = cluster::uniform(nodes, devices, 32);
  for (auto& node : x.nodes)
    for (auto& device : node.devices) {
      device.memory_bytes = memory_bytes;
      device.link_domain = 0;
    }
  return x;
}

} // namespace troupe::planner::testing
