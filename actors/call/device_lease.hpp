// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <caf/send.hpp>
#include <fmt/core.h>

#include "troupe/actors/call/caller.hpp"
#include "troupe/actors/protocol/leases.hpp"

namespace troupe::call {

/// Devices that are ours until the last copy is gone. Null where there was
/// nothing to ask for.
using device_lease = std::shared_ptr<void>;

/// Never the same again in this process, which is the driver's: models and
/// syncs ask from there alone.
[[nodiscard]] inline std::uint64_t next_lease_number() {
  static std::atomic<std::uint64_t> last = 0;
  return ++last;
}

/// Asks `desk` for devices and goes on once they are there; at once if there
/// are none to ask for. Errors: timed_out, lost.
template <class Self>
void lease_devices(caller<Self>& calls, const protocol::device_desk_actor& desk,
                   const std::string& owner, std::vector<std::string> devices,
                   std::chrono::milliseconds timeout,
                   std::function<void(result<device_lease>)> done) {
  if (!desk || devices.empty())
    return done(device_lease{});
  auto number = next_lease_number();
  // Whoever gives up while waiting gives up its place too.
  device_lease lease{nullptr, [desk, number](void*) {
                       caf::anon_send(desk, protocol::end_lease{number});
                     }};
  calls.template ask<protocol::ack>(
    desk, timeout, protocol::lease_devices{number, owner, std::move(devices)},
    [lease = std::move(lease), owner, timeout,
     done = std::move(done)](result<protocol::ack> x) {
      if (x)
        return done(lease);
      if (x.error().code() != errc::timed_out)
        return done(fail(x.error()));
      done(fail(errc::timed_out,
                fmt::format("{} waited {} ms for its devices, which another "
                            "model or sync is using",
                            owner, timeout.count())));
    });
}

} // namespace troupe::call
