// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "troupe/actors/engine/application.hpp"

namespace troupe::app_command {

/// What `run` was given on the command line.
struct run_arguments {
  std::string config_file;
  /// Instead of the configuration's.
  std::optional<std::string> devices;
  /// Instead of the configuration's: addresses with commas, or a file.
  std::string nodes;
  /// The folder of certificates that joins those machines.
  std::string certs;
  /// As given: the configuration says what a seed may be.
  std::string seed;
  std::string data_path;
  std::string name;
  std::string output_dir;
  /// The run to go on with, by name or path; then there is no `config_file`.
  std::string resume;
  /// `--set key=value`.
  std::vector<std::string> overrides;
  /// No live view even on a terminal.
  bool plain = false;
};

/// Runs a job from the configuration file to the closing summary; returns the
/// exit code.
int run(const application& app, const run_arguments& args);

/// Where `args.resume` is. Fails with `errc::invalid` if there is no such run.
[[nodiscard]] result<std::filesystem::path>
resumed_run(const run_arguments& args);

/// The overrides that stand for the shorter options.
[[nodiscard]] std::vector<std::string> all_overrides(const run_arguments& args);

} // namespace troupe::app_command
