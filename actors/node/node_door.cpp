// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/node/node_door.hpp"

#include <fmt/core.h>

#include "troupe/actors/node/process_info.hpp"
#include "troupe/core/log.hpp"

namespace troupe::node {

node_door::node_door(caf::actor_config& config, opener open)
  : protocol::node_door_actor::base(config),
    open_(std::move(open)) {
  // nop
}

const char* node_door::name() const {
  return "node_door";
}

void node_door::on_exit() {
  open_ = {};
  node_ = protocol::node_actor{};
}

result<protocol::joined> node_door::join(const protocol::join_job& x) {
  auto refuse = [](errc code, std::string why) {
    log::warning("node", "refuses a driver: {}", why);
    return fail(code, std::move(why));
  };
  if (x.wire != protocol::wire_version)
    return refuse(errc::refused,
                  fmt::format("the driver speaks protocol {}, this node {}; "
                              "install the same version on all machines",
                              x.wire, protocol::wire_version));
  if (x.build != build_id())
    return refuse(errc::refused,
                  fmt::format("the driver is build {}, this node is build {}; "
                              "copy the driver's program to this machine",
                              x.build, build_id()));
  if (!job_.empty())
    return refuse(errc::exhausted,
                  x.job == job_
                    ? fmt::format("this node is a part of job {} already", job_)
                    : fmt::format("this node works for job {}", job_));
  auto opened = open_(x);
  if (!opened)
    return refuse(opened.error().code(), opened.error().message());
  job_ = x.job;
  node_ = opened->node;
  return opened;
}

node_door::behavior_type node_door::make_behavior() {
  using namespace protocol;
  return {
    [this](const join_job& x) -> caf::result<joined> {
      auto y = join(x);
      if (!y)
        return to_caf(y.error());
      return *y;
    },
    [this](const get_node& x) -> caf::result<found_node> {
      if (job_.empty() || x.job != job_)
        return to_caf({errc::unavailable,
                       fmt::format("this node is not of job {}", x.job)});
      return found_node{node_};
    },
  };
}

} // namespace troupe::node
