// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace troupe::app_command {

struct scale_arguments {
  /// The name or folder of a run that goes on.
  std::string run;
  std::string model;
  std::int32_t num_replica = 0;
  /// Where runs are looked for.
  std::string output_dir = "runs";
  /// How long to wait until it is done.
  double timeout_s = 600;
  /// The run's answer as it came.
  bool json = false;
};

/// The verb `scale`: gives a model of a run another number of replicas and waits
/// until it has them. Returns the exit code: 0, 1 if the run could not do it, 2
/// if there is no such run, or the order makes no sense.
int scale(const scale_arguments& args);

} // namespace troupe::app_command
