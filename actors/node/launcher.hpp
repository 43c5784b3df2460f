// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "troupe/actors/protocol/names.hpp"
#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"

namespace troupe::node {

/// How a node brings hosts to life. A host that was launched reports to the
/// node by host_hello, one that ends by host_exited.
class host_launcher {
public:
  virtual ~host_launcher() = default;

  /// Starts a host; returns its process id. `cuda_device` is the GPU it is for,
  /// by its number on this machine; negative: none. Called on the node actor's
  /// thread; returns soon.
  [[nodiscard]] virtual result<std::int32_t>
  launch(const protocol::host_name& host, std::int32_t cuda_device) = 0;

  /// Kills one host; its host_exited follows. Fails with `errc::lost` if it is
  /// gone already or nobody can kill it, and with `errc::unavailable` if it is
  /// no process of its own.
  [[nodiscard]] virtual result<void> kill(const protocol::host_name& host) = 0;

  /// Ends every host within the time, by force if need be.
  virtual void close(deadline until) = 0;
};

} // namespace troupe::node
