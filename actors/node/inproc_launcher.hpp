// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "troupe/actors/node/host.hpp"
#include "troupe/actors/node/launcher.hpp"

namespace troupe::node {

/// Hosts inside the driver's own process: for the smallest applications, for
/// debuggers, and for tests. Nothing here survives a crash of a module, and
/// nothing here has a GPU.
class inproc_launcher final : public host_launcher {
public:
  /// `node` is told about the hosts; set before the first launch, because node
  /// and launcher need each other.
  inproc_launcher(caf::actor_system& system, std::string job,
                  model::host_services services, worker_threads threads);

  void report_to(protocol::node_actor node);

  [[nodiscard]] result<std::int32_t> launch(const protocol::host_name& host,
                                            std::int32_t cuda_device) override;

  [[nodiscard]] result<void> kill(const protocol::host_name& host) override;

  void close(deadline until) override;

private:
  caf::actor_system& system_;
  std::string job_;
  model::host_services services_;
  worker_threads threads_;
  protocol::node_actor node_;
};

} // namespace troupe::node
