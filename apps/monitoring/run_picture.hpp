// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "troupe/actors/protocol/error_report.hpp"
#include "troupe/core/error.hpp"

namespace troupe::monitoring {

/// What a run says of itself first.
struct introduction {
  std::string version;
  std::string app;
  std::string run;
};

struct host_picture {
  std::int64_t node = 0;
  std::int64_t slot = 0;
  std::string device;
  std::int64_t pid = 0;
  bool alive = false;
  std::int64_t life = 0;
  std::vector<std::string> workers;
};

struct model_picture {
  std::string name;
  std::int64_t replicas = 0;
  std::int64_t ranks = 0;
  bool trainable = false;
  std::optional<std::int64_t> version;
};

struct worker_picture {
  std::string name;
  std::string operation;
  std::int64_t ms = 0;
  bool answers = true;
  std::int64_t version = 0;
};

/// How a run stands, as it has told.
struct run_picture {
  std::string app;
  std::string run;
  std::string job;
  std::int64_t uptime_ms = 0;
  std::string phase;
  std::int64_t phase_done = 0;
  std::int64_t phase_total = 0;
  std::int64_t phase_ms = 0;
  std::int64_t episode = 0;
  std::int64_t num_episode = 0;
  std::int64_t restarts = 0;
  /// Empty while it goes on.
  std::string end;
  std::string cause;
  /// Absent: not finite.
  std::vector<std::pair<std::string, std::optional<double>>> metrics;
  std::vector<host_picture> hosts;
  std::vector<model_picture> models;
  std::vector<worker_picture> workers;
  std::int64_t errors = 0;
  std::int64_t warnings = 0;
  /// The last ones, oldest first; consequences carry their cause.
  std::vector<protocol::error_report> reports;
  std::vector<std::string> silent;
};

/// Reads the first line. Fails with `errc::refused` and a sentence if the run
/// speaks another version or wants no more monitors, `errc::corrupt` if this is
/// no run of Troupe. `own_version` is that of this program.
[[nodiscard]] result<introduction> parse_hello(std::string_view line,
                                               std::string_view own_version);

/// Reads a later line. What is missing or of another type has its default: a
/// run is looked at, not judged. Fails with `errc::corrupt` if it is no object.
[[nodiscard]] result<run_picture> parse_status(std::string_view line);

/// The line as JSON that is safe to print. Fails as `parse_status`.
[[nodiscard]] result<std::string> clean_json(std::string_view line);

} // namespace troupe::monitoring
