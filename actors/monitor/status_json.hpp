// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "troupe/actors/protocol/error_report.hpp"
#include "troupe/actors/protocol/status.hpp"

namespace troupe::monitor {

/// What a run says of itself to whoever comes to look.
struct introduction {
  /// Of Troupe.
  std::string version;
  /// Of the program that runs.
  std::string build;
  std::string app;
  std::string run;
  std::string job;
  std::int32_t pid = 0;
};

/// A report as an object; what does not apply is null.
[[nodiscard]] nlohmann::ordered_json
to_json(const protocol::error_report& report);

/// The first line a run says: `{"type":"hello","monitor":1,...}`. With its end.
[[nodiscard]] std::string hello_line(const introduction& x);

/// How a run stands, as a line: `{"type":"status",...}`. With its end. Numbers
/// that are not finite are null; bytes that are no UTF-8 are replaced.
[[nodiscard]] std::string status_line(const protocol::run_status& x);

/// Why nobody is told anything: `{"type":"refused","why":...}`. With its end.
[[nodiscard]] std::string refusal_line(const std::string& why);

} // namespace troupe::monitor
