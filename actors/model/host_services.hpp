// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "troupe/actors/model/registry.hpp"
#include "troupe/actors/process/batch_store.hpp"
#include "troupe/actors/process/peer_mesh.hpp"
#include "troupe/actors/protocol/names.hpp"
#include "troupe/comm/device.hpp"
#include "troupe/comm/inproc/hub.hpp"

namespace troupe::model {

/// What the workers of one process share. Made in the process's main, outlives
/// every actor. All members are safe to use from any thread.
struct host_services {
  protocol::host_name host;
  const module_registry* registry = nullptr;
  process::batch_store* store = nullptr;
  comm::inproc::hub* hub = nullptr;
  /// Sockets to the other processes; null if there are none.
  process::peer_mesh* mesh = nullptr;
  /// This machine's address for processes of other machines; empty if there
  /// are none.
  std::string address = {};
  /// What this process works on; null if it has no device of its own.
  comm::device_ptr device = {};
  /// Why it has none although it should; empty otherwise.
  std::string device_failure = {};
};

} // namespace troupe::model
