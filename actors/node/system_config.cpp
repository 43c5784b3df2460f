// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/node/system_config.hpp"

#include <caf/io/middleman.hpp>
#include <fmt/core.h>

#include "troupe/actors/protocol/register.hpp"

namespace troupe::node {

system_config::system_config(bool remote) {
  protocol::register_messages(*this);
  // Work stealing polls, which costs CPU on a box full of workers and 3 to 25
  // times the latency; so do deserializing threads for small messages.
  set("scheduler.policy", caf::atom("sharing"));
  set("scheduler.max-threads", std::size_t{4});
  set("scheduler.max-throughput", std::size_t{100});
  set("middleman.workers", std::size_t{0});
  // Last resort only: BASP's heartbeats are not safe at small values.
  set("middleman.heartbeat-interval", caf::timespan{std::chrono::seconds{1}});
  set("middleman.connection-timeout", caf::timespan{std::chrono::seconds{30}});
  set("middleman.app-identifiers",
      std::vector<std::string>{
        fmt::format("troupe-{}", protocol::wire_version)});
  if (remote)
    load<caf::io::middleman>();
}

} // namespace troupe::node
