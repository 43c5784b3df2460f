// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <utility>

#include <caf/event_based_actor.hpp>
#include <caf/unit.hpp>

#include "support/actor_fixture.hpp"
#include "troupe/actors/call/caller.hpp"

namespace call_test {

/// Makes calls when the test tells it to.
class asking_client : public caf::event_based_actor {
public:
  explicit asking_client(caf::actor_config& config)
    : caf::event_based_actor(config),
      calls(this) {
    // nop
  }

  const char* name() const override { return "client"; }

  caf::behavior make_behavior() override {
    return {[](caf::unit_t) {}};
  }

  template <class Reply, class Handle, class Message>
  troupe::test::answer<Reply>
  ask(const Handle& whom, std::chrono::milliseconds timeout, Message message) {
    troupe::test::answer<Reply> out;
    calls.ask<Reply>(whom, timeout, std::move(message),
                     [out](troupe::result<Reply> x) { out.set(std::move(x)); });
    return out;
  }

  troupe::call::caller<asking_client> calls;
};

} // namespace call_test
