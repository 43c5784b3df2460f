// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "troupe/actors/config/options.hpp"
#include "troupe/planner/model_spec.hpp"

namespace troupe::config {

/// What an application says about one of its models.
struct model_schema {
  std::string name;
  bool trainable = false;
  /// Runs on the CPU host unless the file gives it devices; may be left out of
  /// the file.
  bool cpu = false;
  /// Keys of the model's section besides Troupe's own.
  std::vector<option_spec> options;
};

/// What an application declares; a configuration is checked against it.
struct app_schema {
  std::string name;
  std::vector<model_schema> models;
  /// Keys of the section `runtime` besides Troupe's own. An option with the
  /// name of one of Troupe's keys (`num_episode`, `seed`...) changes that
  /// key's default and does not appear among the application's options.
  std::vector<option_spec> options;
  std::vector<planner::sync_pair> syncs;
};

} // namespace troupe::config
