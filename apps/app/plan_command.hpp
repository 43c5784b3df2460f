// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "troupe/actors/engine/application.hpp"
#include "troupe/planner/parallel_layout.hpp"

namespace troupe::app_command {

/// What `plan` was given on the command line.
struct plan_arguments {
  std::string config_file;
  std::string devices = "cpu:2";
  std::vector<std::string> overrides;
  bool json = false;
  std::string svg_file;
  /// A model to tell all about.
  std::string explain;

  /// `--groups`: no configuration, just the groups of a world.
  bool groups = false;
  std::int64_t world = 1;
  planner::layout_request layout;
  std::string order = "megatron";
};

/// Prints where a job's models would go and why; starts nothing. Returns the
/// exit code.
int plan(const application& app, const plan_arguments& args);

/// Prints the parallel groups of a world. Returns the exit code.
int plan_groups(const plan_arguments& args);

} // namespace troupe::app_command
