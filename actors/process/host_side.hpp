// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "troupe/actors/process/peer_mesh.hpp"

namespace troupe::process {

/// Who a device host is.
struct host_identity {
  std::string job_id;
  std::int32_t slot = 0;
  troupe::incarnation incarnation;
};

/// A device host's side of the guard: learns who it is, receives a socket to
/// every other host and to the node, notices when the guard goes away, and gives
/// it signs of life.
///
/// Threads: owns one, of high priority where that is allowed, that reads what the
/// guard sends and gives the signs, and the mesh's.
class host_side {
public:
  /// True if the guard started this process.
  [[nodiscard]] static bool present() noexcept;

  /// Takes over what the guard left in the environment (and removes it, so
  /// that children do not take themselves for hosts). Fails with
  /// `errc::invalid` if the guard did not start this process. Call once,
  /// before threads. `on_guard_lost` runs on the reading thread; without it the
  /// process ends at once with code 70.
  [[nodiscard]] static result<std::unique_ptr<host_side>>
  from_environment(std::function<void()> on_guard_lost = {});

  host_side(const host_side&) = delete;

  host_side& operator=(const host_side&) = delete;

  ~host_side();

  [[nodiscard]] const host_identity& identity() const noexcept;

  /// The sockets to the peers. Lives as long as this object.
  [[nodiscard]] peer_mesh& mesh() noexcept;

private:
  struct impl;

  explicit host_side(std::unique_ptr<impl> x);

  std::unique_ptr<impl> impl_;
};

} // namespace troupe::process
