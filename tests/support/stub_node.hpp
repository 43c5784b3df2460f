// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <caf/typed_event_based_actor.hpp>
#include <fmt/core.h>

#include "troupe/actors/protocol/register.hpp"

namespace troupe::test {

/// A node that has no hosts: it notes what it is told. A silent one answers
/// nothing.
class stub_node : public protocol::node_actor::base {
public:
  using log = std::shared_ptr<std::vector<std::string>>;

  stub_node(caf::actor_config& config, log told, bool silent = false)
    : protocol::node_actor::base(config),
      told_(std::move(told)),
      silent_(silent) {
    // nop
  }

  const char* name() const override { return "stub_node"; }

protected:
  behavior_type make_behavior() override {
    using namespace protocol; // tidy: allow using: inside one function
    return {
      [](const bundle&) { return bundle_answers{}; },
      [](const get_rest&) { return bundle_answers{}; },
      [](const host_hello&) { return host_welcome{}; },
      [](const make_replica&) -> caf::result<made_replica> {
        return to_caf({errc::exhausted, "a stub makes no replicas"});
      },
      [](const acquire_host&) -> caf::result<acquired_host> {
        return to_caf({errc::exhausted, "a stub has no hosts"});
      },
      [](const worker_placed&) {},
      [](const worker_removed&) {},
      [](const host_exited&) {},
      [this](const abort_groups& x) {
        told_->push_back(fmt::format("abort: {}", x.reason));
        auto out = make_response_promise<ack>();
        if (!silent_)
          out.deliver(ack{});
        return out;
      },
      [this](const release_batches& x) {
        told_->push_back(fmt::format("release: {}", x.last));
      },
      [](get_node_status) { return node_status{}; },
      [](const end_hosts&) { return ack{}; },
      [](const close_node&) { return ack{}; },
    };
  }

private:
  log told_;
  bool silent_;
};

} // namespace troupe::test
