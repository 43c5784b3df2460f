// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "troupe/actors/config/devices.hpp"
#include "troupe/comm/cuda/runtime.hpp"
#include "troupe/core/deadline.hpp"

namespace troupe::node {

/// The hidden verb that makes an application's program tell what GPUs there are.
inline constexpr const char* gpu_verb = "__gpus";

struct gpu_probe_settings {
  std::string executable = "/proc/self/exe";
  std::vector<std::string> argv = {"troupe-gpus", gpu_verb};
  /// Of a machine that has to load its driver first.
  duration patience = std::chrono::seconds{30};
};

/// Asks a short-lived child process, the same program under `gpu_verb`, and
/// waits for its end: a process that forks afterwards must not have started
/// CUDA, and neither must the driver hold a context on every GPU of its hosts.
///
/// For a single-threaded process. The child ends with it. Fails with
/// `errc::exhausted` if there is no process left, `errc::timed_out`,
/// `errc::lost` if the child was killed, and `errc::corrupt` if what it printed
/// cannot be read.
[[nodiscard]] result<config::gpu_inventory>
find_gpus(const gpu_probe_settings& settings = {});

/// What this process sees: starts CUDA here.
[[nodiscard]] config::gpu_inventory look_for_gpus();

/// The same of a runtime that has been started.
[[nodiscard]] config::gpu_inventory gpus_of(comm::cuda::runtime& cuda);

/// The hidden verb: prints what `look_for_gpus` finds, as JSON in one line.
/// Returns the exit code.
int tell_gpus();

[[nodiscard]] std::string to_json(const config::gpu_inventory& x);

/// Reads what `to_json` wrote. Fails with `errc::corrupt`.
[[nodiscard]] result<config::gpu_inventory> parse_gpus(const std::string& text);

} // namespace troupe::node
