// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <caf/actor_system_config.hpp>

namespace troupe::node {

/// CAF as every process of a job runs it: our messages, one scheduler policy,
/// no work in I/O threads, and nothing read from files or the command line.
class system_config : public caf::actor_system_config {
public:
  /// `remote` also loads the middleman (sockets); a system without it cannot
  /// talk to other processes.
  explicit system_config(bool remote = true);
};

} // namespace troupe::node
