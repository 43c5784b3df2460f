// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "troupe/planner/chatlearn/refusal.hpp"
#include "troupe/planner/packing.hpp"

namespace troupe::planner::chatlearn {

/// A model as ChatLearn's scheduler sees it.
struct local_model {
  std::string name;
  std::int64_t total_gpu = 0;
  bool trainable = false;
  std::int64_t num_replica = 1;
  std::int64_t num_gpu_per_replica = 0;
  /// Processes with more than one GPU are refused.
  std::int64_t gpu_per_process = 1;
  std::int64_t cpu_per_process = 1;
  /// A vLLM model whose engine is a process of its own.
  bool has_engine = false;

  bool operator==(const local_model&) const = default;
};

/// Names of models in packs.
using named_packs = std::vector<std::vector<std::string>>;

/// Packs models by `find_packs`. Refused: no model (index), the first model in
/// the packer's order larger than `total` (assertion), another one larger, or
/// without GPUs (unsound: ChatLearn looks at the first only).
/// Source: schedule/model_manager.py, `find_model_packing_strategy`.
/// Complexity: O(n log n).
[[nodiscard]] outcome<std::vector<pack>>
pack_models(const std::vector<const local_model*>& models, std::int64_t total);

/// The same with names.
[[nodiscard]] outcome<named_packs>
pack_models(const std::vector<local_model>& models, std::int64_t total);

} // namespace troupe::planner::chatlearn
