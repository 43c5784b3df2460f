// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/monitor/error_monitor.hpp"

#include "troupe/actors/monitor/root_cause.hpp"
#include "troupe/core/log.hpp"

namespace troupe::monitor {

error_monitor::error_monitor(caf::actor_config& config,
                             std::vector<protocol::node_actor> nodes,
                             std::uint32_t attempt)
  : protocol::error_monitor_actor::base(config),
    nodes_(std::move(nodes)),
    attempt_(attempt),
    calls_(this) {
  // nop
}

const char* error_monitor::name() const {
  return "error_monitor";
}

void error_monitor::on_exit() {
  // The engine listens to us and reports to the error_signal, which tells us.
  listeners_.clear();
}

void error_monitor::hear(const protocol::error_report& x) {
  if (x.level == protocol::severity::warning || reports_.size() == reports_max)
    return;
  if (x.attempt != 0 && x.attempt != attempt_) {
    log::info("error_monitor", "#{} is of an attempt that has ended", x.id);
    return;
  }
  reports_.push_back(x);
  if (reports_.size() > 1 || verdict_)
    return;
  for (const auto& node : nodes_)
    calls_.ask<protocol::ack>(node, std::chrono::seconds{1},
                              protocol::abort_groups{to_string(x)},
                              [](const result<protocol::ack>&) {
                                // A node that cannot abort reports on its own.
                              });
  delayed_send(this, grace, protocol::conclude{});
}

error_monitor::behavior_type error_monitor::make_behavior() {
  using namespace protocol;
  return {
    [this](const error_news& x) {
      for (const auto& report : x.items)
        hear(report);
      return ack{};
    },
    [this](protocol::conclude) {
      if (lacks_cause(reports_) && graces_left_-- > 0) {
        delayed_send(this, grace, protocol::conclude{});
        return;
      }
      verdict_ = monitor::conclude(reports_);
      for (const auto& listener : listeners_)
        send(listener, *verdict_);
    },
    [this](const subscribe_verdict& x) {
      listeners_.push_back(x.listener);
      if (verdict_)
        send(x.listener, *verdict_);
      return ack{};
    },
  };
}

} // namespace troupe::monitor
