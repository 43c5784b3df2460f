// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "troupe/actors/node/launcher.hpp"
#include "troupe/actors/process/guard_client.hpp"
#include "troupe/actors/process/peer_mesh.hpp"
#include "troupe/actors/protocol/process.hpp"

namespace troupe::node {

/// What a host process is told on its command line, after the program's name
/// and `host_verb`.
struct host_arguments {
  /// Which of the program's applications the job runs.
  std::string app;
  std::string job;
  protocol::host_name host;
  /// Where its node listens, on loopback.
  std::uint16_t node_port = 0;
  std::int32_t num_threads = 1;
  std::uint64_t store_bytes_max = 0;
  std::string log_path;
  std::string log_level = "info";
  /// This machine's address for processes of other machines; empty if there are
  /// none: then nothing but loopback is listened on.
  std::string address;
  /// The GPU of the host, as CUDA numbers it; negative: none.
  std::int32_t cuda_device = -1;
};

/// The hidden verb that makes an application's program a host.
inline constexpr const char* host_verb = "__host";

[[nodiscard]] std::vector<std::string> to_argv(const host_arguments& x);

/// Reads what `to_argv` wrote, without program name and verb.
[[nodiscard]] result<host_arguments>
parse_host_arguments(const std::vector<std::string>& args);

/// Hosts as processes under the guard.
class guarded_launcher final : public host_launcher {
public:
  /// `common` is what all hosts are told; host and log_path are filled in for
  /// each. Both `guard` and `mesh` outlive the launcher.
  guarded_launcher(process::guard_client& guard, process::peer_mesh& mesh,
                   host_arguments common, std::filesystem::path log_dir);

  /// Starts listening to the guard: exits go to `node`, the guard's own end
  /// too, as the end of every host. `node_port` is where hosts report.
  void report_to(protocol::node_actor node, std::uint16_t node_port);

  [[nodiscard]] result<std::int32_t> launch(const protocol::host_name& host,
                                            std::int32_t cuda_device) override;

  [[nodiscard]] result<void> kill(const protocol::host_name& host) override;

  void close(deadline until) override;

private:
  process::guard_client& guard_;
  process::peer_mesh& mesh_;
  host_arguments common_;
  std::filesystem::path log_dir_;
};

} // namespace troupe::node
