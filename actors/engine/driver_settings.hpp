// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "troupe/actors/checkpoint/checkpoint_folder.hpp"
#include "troupe/actors/config/devices.hpp"
#include "troupe/actors/config/job_config.hpp"
#include "troupe/actors/net/endpoint.hpp"
#include "troupe/actors/net/tls_identity.hpp"
#include "troupe/actors/process/guard_client.hpp"
#include "troupe/core/error.hpp"
#include "troupe/planner/cluster.hpp"

namespace troupe::engine {

struct driver_settings {
  std::string job;
  config::device_request devices;
  /// Where hosts write their logs.
  std::filesystem::path log_dir;
  /// Of Troupe, for monitors, and where they find the run.
  std::string version;
  std::filesystem::path monitor_file;
  /// The socket that takes orders; empty: none are taken.
  std::filesystem::path orders_file;
  /// Where checkpoints are kept, and the one to go on from. Absolute.
  std::filesystem::path checkpoint_dir;
  std::optional<checkpoint::saved> resume;
  /// Starts the hosts; null for `--devices inproc` and for nodes of other
  /// machines. Outlives the run.
  process::guard_client* guard = nullptr;
  /// Where the nodes of other machines listen; empty: the job runs here.
  std::vector<net::endpoint> nodes;
  /// Where people find which they are, and their logs; may be empty.
  std::filesystem::path nodes_file;
  /// Told the configuration once they have joined and models that want all
  /// devices have them: what a run that goes on later shall have too. If it
  /// fails, nothing begins. May be empty.
  std::function<result<void>(const config::job_config&)> on_settled;
  /// For them; absent: no TLS, and then nothing but loopback.
  std::optional<net::tls_identity> identity;
};

/// The planner's view of this machine under a device request.
[[nodiscard]] planner::cluster make_cluster(const config::device_request& x);

} // namespace troupe::engine
