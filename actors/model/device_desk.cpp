// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/device_desk.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include <caf/actor_cast.hpp>
#include <fmt/core.h>

namespace troupe::model {

device_desk::device_desk(caf::actor_config& config)
  : protocol::device_desk_actor::base(config) {
  set_down_handler([this](const caf::down_msg& x) {
    watched_.erase(x.source);
    std::vector<std::uint64_t> gone;
    for (const auto& [number, who] : customers_)
      if (who.who == x.source)
        gone.push_back(number);
    for (auto number : gone) {
      book_.end(number);
      customers_.erase(number);
    }
    serve();
  });
}

const char* device_desk::name() const {
  return "device_desk";
}

void device_desk::on_exit() {
  // Promises hold us, and those who wait.
  customers_.clear();
}

void device_desk::serve() {
  for (auto number : book_.begin())
    customers_.at(number).waits.deliver(protocol::ack{});
}

device_desk::behavior_type device_desk::make_behavior() {
  using namespace protocol;
  return {
    [this](const lease_devices& x) {
      // The promise takes the sender along.
      auto who = caf::actor_cast<caf::actor_addr>(current_sender());
      call::reply<ack> out{make_response_promise<ack>()};
      std::set<std::string> devices{x.devices.begin(), x.devices.end()};
      if (!book_.ask(x.number, x.owner, std::move(devices), x.first)) {
        out.deliver(
          fail(errc::invalid, fmt::format("lease {} is in use", x.number)));
        return out.promise();
      }
      if (who && watched_.insert(who).second)
        monitor(who);
      customers_.emplace(x.number, customer{who, out});
      serve();
      return out.promise();
    },
    [this](const end_lease& x) {
      book_.end(x.number);
      customers_.erase(x.number);
      serve();
    },
    [this](const get_blockers& x) {
      return blockers{book_.blockers(x.number)};
    },
  };
}

} // namespace troupe::model
