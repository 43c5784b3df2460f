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
#include <fmt/format.h>

#include "troupe/actors/call/caller.hpp"
#include "troupe/actors/protocol/leases.hpp"

namespace troupe::call {

/// Devices that are ours until the last copy is gone, whoever has it. Points to
/// nothing, with devices as without (`any`).
///
/// Who has one waits for no other, neither itself nor through those it asks:
/// what a sync asks of a model, and a model of its replicas, takes no lease.
/// So whoever has devices gives them back when those it asks have answered or
/// its deadlines have passed, and nobody waits in a circle. Whoever needs
/// devices twice gives them back in between.
using device_lease = std::shared_ptr<void>;

[[nodiscard]] inline bool any(const device_lease& x) noexcept {
  return x.use_count() > 0;
}

/// Whom a lease waits for besides those who have its devices.
enum class lease_turn : std::uint8_t {
  /// Those who asked earlier.
  last = 1,
  /// Others that are first. For repairs: who has the devices may be stuck in a
  /// call that ends when its ranks are repaired, and who waits for it would
  /// keep the repair away.
  first,
};

/// Never the same again in this process, which is the driver's: models and
/// syncs ask from there alone.
[[nodiscard]] inline std::uint64_t next_lease_number() {
  static std::atomic<std::uint64_t> last = 0;
  return ++last;
}

/// The desk is in this process and never busy.
inline constexpr std::chrono::milliseconds lease_question_timeout{1000};

/// Asks `desk` for devices and goes on once they are there; at once if there
/// are none to ask for. Errors: timed_out, lost.
template <class Self>
void lease_devices(caller<Self>& calls, const protocol::device_desk_actor& desk,
                   const std::string& owner, std::vector<std::string> devices,
                   lease_turn turn, std::chrono::milliseconds timeout,
                   std::function<void(result<device_lease>)> done) {
  if (!desk || devices.empty())
    return done(device_lease{});
  auto number = next_lease_number();
  // Whoever gives up while waiting gives up its place too.
  device_lease lease{nullptr, [desk, number](void*) {
                       caf::anon_send(desk, protocol::end_lease{number});
                     }};
  auto refused = [&calls, desk, number, owner, timeout,
                  done](const error& why, const device_lease& mine) {
    if (why.code() != errc::timed_out)
      return done(fail(why));
    // While our place is kept it is known who is before us.
    calls.template ask<protocol::blockers>(
      desk, lease_question_timeout, protocol::get_blockers{number},
      [mine, owner, timeout, done](const result<protocol::blockers>& x) {
        auto who = x && !x->owners.empty()
                     ? fmt::format("{}", fmt::join(x->owners, ", "))
                     : std::string{"others"};
        done(fail(errc::timed_out,
                  fmt::format("{} waited {} ms for devices that {} had first",
                              owner, timeout.count(), who)));
      });
  };
  calls.template ask<
    protocol::ack>(desk, timeout,
                   protocol::lease_devices{number, owner, std::move(devices),
                                           turn == lease_turn::first},
                   [lease = std::move(lease), refused,
                    done = std::move(done)](const result<protocol::ack>& x) {
                     if (x)
                       done(lease);
                     else
                       refused(x.error(), lease);
                   });
}

} // namespace troupe::call
