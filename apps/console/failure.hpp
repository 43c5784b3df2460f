// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace troupe::console {

/// One error of a run, as a person should read it. Unknown parts are empty.
struct failure_row {
  /// `warning` or `error`.
  std::string severity = "error";
  std::string model;
  std::optional<std::int32_t> replica;
  std::optional<std::int32_t> rank;
  std::string node;
  std::string device;
  /// The function or step that failed, e.g. `generate` or `sync`.
  std::string operation;
  std::string message;
  /// What lies beneath the message, e.g. `killed by signal 9`.
  std::string cause;
};

/// What a failed run has to say.
struct failure_report {
  std::string run_name;
  /// The first cause.
  failure_row first;
  /// What followed from it, oldest first.
  std::vector<failure_row> consequences;
  /// What the person can do, a sentence each.
  std::vector<std::string> advice;
  /// Where the logs are; empty if there are none.
  std::filesystem::path log_dir;
  /// Where those of the machine at fault are, if it is another; else empty.
  std::string far_logs;
};

} // namespace troupe::console
