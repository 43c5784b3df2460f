// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/error_follower.hpp"

#include <exception>

#include <fmt/core.h>

#include "troupe/core/log.hpp"

namespace troupe::engine {

error_follower::error_follower(caf::actor_config& config, function f)
  : protocol::error_listener_actor::base(config),
    f_(std::move(f)) {
  // nop
}

const char* error_follower::name() const {
  return "error_follower";
}

void error_follower::tell(const protocol::error_report& x) const {
  try {
    f_(x);
  } catch (const std::exception& problem) {
    log::error("error_follower", "report #{} was not taken: {}", x.id,
               problem.what());
  } catch (...) {
    log::error("error_follower", "report #{} was not taken", x.id);
  }
}

error_follower::behavior_type error_follower::make_behavior() {
  return {
    [this](const protocol::error_news& x) {
      if (x.lost > 0) {
        protocol::error_report missed;
        missed.level = protocol::severity::warning;
        missed.code = errc::exhausted;
        missed.operation = "errors";
        missed.message = fmt::format("{} reports came too fast and are not "
                                     "told here; driver.log has them",
                                     x.lost);
        tell(missed);
      }
      for (const auto& report : x.items)
        tell(report);
      return protocol::ack{};
    },
  };
}

} // namespace troupe::engine
