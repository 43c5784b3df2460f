// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "troupe/planner/model_profile.hpp"

namespace troupe::config {

/// What a person says of a model so that memory and time can be predicted: the
/// section `models.NAME.profile`, which only `plan` reads.
struct profile_config {
  /// All but the parameters, the shape and the name. `sequence_tokens` 0 means
  /// those of the workload: prompt and response.
  planner::model_profile settings;
  /// 0: they follow from `hf_config`.
  std::int64_t num_parameters = 0;
  std::int64_t num_layers = 1;
  /// A Hugging Face `config.json`, from the configuration's folder.
  std::string hf_config;

  bool operator==(const profile_config&) const = default;
};

} // namespace troupe::config
