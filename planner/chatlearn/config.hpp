// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "troupe/planner/chatlearn/refusal.hpp"

namespace troupe::planner::chatlearn {

/// A value of a configuration file; nothing (the first alternative) stands for
/// null.
struct option {
  std::variant<std::monostate, bool, std::int64_t, double, std::string,
               std::vector<option>>
    value;

  bool operator==(const option&) const = default;
};

using option_map = std::map<std::string, option>;

/// One entry of `models` as it was written.
struct model_options {
  std::string name;
  option_map fields;
  /// What the model's own file (`model_config_file`) has.
  option_map args;
};

/// What ChatLearn makes of one model's options.
struct derived_model {
  std::string name;
  std::int64_t num_replica = 1;
  std::optional<std::int64_t> gpu_per_process;
  std::optional<std::int64_t> cpu_per_process;
  /// -1 means no micro-batches.
  std::int64_t generation_batch_size = -1;
  std::int64_t tensor = 1;
  std::int64_t pipeline = 1;
  std::int64_t expert = 1;
  std::int64_t zero = 1;
  std::int64_t fsdp = 1;
  bool offload_weights = false;
  bool free_grad_buffers = false;
  bool offload_optimizer_states = false;
  /// What the model object then uses: a trainable model is one replica on all
  /// its GPUs.
  std::int64_t module_num_replica = 1;
  std::int64_t module_num_gpu_per_replica = 0;

  bool operator==(const derived_model&) const = default;
};

struct derived_config {
  std::int64_t train_global_batch_size = 0;
  std::vector<std::vector<std::string>> colocation;
  std::string output_dir;
  /// In the order of the input.
  std::vector<derived_model> models;
};

/// Checks options and derives what ChatLearn derives from them; the tables of
/// keys are in planner/README.md. Unknown keys are accepted. Everything it
/// refuses is an assertion, but a size of 0 that something is divided by.
/// Source: utils/arguments.py; models/base_module.py, `finalize`.
/// Complexity: O(options log options).
[[nodiscard]] outcome<derived_config>
derive_config(const std::vector<model_options>& models,
              const option_map& runtime);

} // namespace troupe::planner::chatlearn
