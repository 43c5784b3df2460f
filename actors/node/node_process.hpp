// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "troupe/actors/config/devices.hpp"
#include "troupe/actors/net/endpoint.hpp"
#include "troupe/actors/net/tls_identity.hpp"

namespace troupe::node {

struct node_process_settings {
  /// Where drivers and other nodes reach this machine.
  net::endpoint listen;
  /// Absent: no TLS, and then nothing but loopback.
  std::optional<net::tls_identity> identity;
  /// `config::name_devices` has named them.
  config::device_request devices;
  /// Where a job's hosts write their logs, in a folder a job.
  std::filesystem::path log_dir;
  /// Hosts may be stopped by a debugger, whatever the job says: nobody watches
  /// their pulses.
  bool debug = false;
  /// What people should know, a line each.
  std::function<void(std::string_view)> tell;
};

/// How a node process ended; its exit code.
enum class node_end : std::uint8_t {
  /// Its job is over, in whatever way: nothing of it is left.
  job_over = 0,
  /// It could not begin, and said why.
  refused = 2,
  /// A signal told it to end.
  stopped = 3,
  /// Its guard is gone, so that it can neither start nor end hosts.
  broken = 4,
};

/// Serves one job, from waiting for its driver to having cleaned up after it.
/// Call before any thread of the process exists, after `process::hold_signals`.
/// The caller must end the process with `_exit`: threads may be left.
///
/// The job is over when the driver closes it, when the driver's process ends
/// (noticed by TCP, at once), when the driver has given no sign of life for its
/// grace, when the guard is gone, or at a signal. Hosts are then ended within two
/// seconds. Pulses and grace are the job's; the guard hears of them when the node
/// is joined.
[[nodiscard]] node_end run_node_process(const node_process_settings& settings);

} // namespace troupe::node
