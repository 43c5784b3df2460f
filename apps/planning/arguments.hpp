// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "troupe/actors/config/devices.hpp"
#include "troupe/planner/parallel_layout.hpp"

namespace CLI {
class App;
} // namespace CLI

namespace troupe::planning {

/// What `plan` was given on the command line.
struct plan_arguments {
  std::string config_file;
  /// Instead of the configuration's.
  std::optional<std::string> devices;
  /// Says what GPUs this machine has; null: nobody asks.
  config::gpu_finder find_gpus;
  /// A node file (actors/config/node_file.hpp) instead of `devices`.
  std::string nodes_file;
  /// `--set key=value`.
  std::vector<std::string> overrides;
  bool json = false;
  std::string svg_file;
  /// A model to tell all about.
  std::string explain;
  /// Escapes whether or not the output is a terminal: `auto`, `always`,
  /// `never`.
  std::string colour = "auto";

  /// `--optimize`: search for faster plans, for so many seconds.
  bool optimize = false;
  double budget = 10;

  /// `--groups`: no configuration, just the groups of a world.
  bool groups = false;
  std::int64_t world = 1;
  planner::layout_request layout;
  std::string order = "megatron";

  /// `--transfer`: no configuration, just the layouts of a source's and a
  /// destination's weights.
  std::vector<std::string> transfer_files;
  /// `reshard` or `two_stage`.
  std::string transfer_planner = "reshard";
};

/// Declares the options of the verb `plan`; `args` must outlive `verb`.
void add_plan_options(CLI::App& verb, plan_arguments& args);

} // namespace troupe::planning
