// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/actors/config/job_config.hpp"
#include "troupe/actors/config/problem_list.hpp"
#include "troupe/actors/config/schema.hpp"
#include "troupe/actors/config/yaml_tree.hpp"

namespace troupe::config {

/// Reads `models.NAME` and derives replicas and data parallelism from it:
///
///     ranks of a replica = tensor * pipeline * context * expert
///     num_replica = num_gpu / gpu_per_process / ranks of a replica
///
/// (ChatLearn's rule); a trainable model is always one replica, whose data
/// parallel size takes up what would be replicas. On the CPU host the number
/// is num_cpu / cpu_per_process. `node` may be null: all defaults.
[[nodiscard]] model_config read_model(const yaml_node* node, int line,
                                      const model_schema& schema,
                                      problem_list& problems);

/// Gives a model with `num_gpu: all` as many whole replicas (or, if it is
/// trained, data-parallel ranks) as `devices` hold, at least the one it has.
void take_all_devices(model_config& model, std::int64_t devices);

} // namespace troupe::config
