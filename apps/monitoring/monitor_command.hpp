// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace troupe::monitoring {

struct monitor_arguments {
  /// `HOST:PORT`, or the name or folder of a run.
  std::string target;
  /// Where runs are looked for.
  std::string output_dir = "runs";
  /// This program's version of Troupe: that of the run must be the same.
  std::string version;
  /// A JSON object a line.
  bool json = false;
  /// How the run stands now, once.
  bool once = false;
  /// Lines instead of a screen.
  bool plain = false;
};

/// The verb: shows a run until it ends, somebody presses q or Ctrl-C, or it
/// stops telling. After `process::hold_signals`. Returns the exit code: 0, 1 if
/// the run was lost, 2 if there was none to look at.
int monitor(const monitor_arguments& args);

} // namespace troupe::monitoring
