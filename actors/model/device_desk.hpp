// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <set>

#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/call/reply.hpp"
#include "troupe/actors/model/lease_book.hpp"
#include "troupe/actors/protocol/register.hpp"

namespace troupe::model {

/// The actor of a job that is asked for devices before ranks on several of them
/// talk to each other: models before they join their ranks, set modules up, load
/// or call them or join them anew, syncs before a preparation and a run. It
/// grants them in one order, which only repairs pass (`lease_book`), and takes
/// them back from actors that are gone.
class device_desk : public protocol::device_desk_actor::base {
public:
  explicit device_desk(caf::actor_config& config);

  const char* name() const override;
  void on_exit() override;

protected:
  behavior_type make_behavior() override;

private:
  struct customer {
    caf::actor_addr who;
    call::reply<protocol::ack> waits;
  };

  /// Those that begin now are told.
  void serve();

  lease_book book_;
  std::map<std::uint64_t, customer> customers_;
  std::set<caf::actor_addr> watched_;
};

} // namespace troupe::model
