// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/monitor/error_signal.hpp"

#include <chrono>

#include "troupe/core/log.hpp"

namespace troupe::monitor {

namespace {

std::uint64_t wall_clock_ms() {
  using namespace std::chrono;
  return static_cast<std::uint64_t>(
    duration_cast<milliseconds>(system_clock::now().time_since_epoch())
      .count());
}

} // namespace

error_signal::error_signal(caf::actor_config& config)
  : protocol::error_signal_actor::base(config),
    calls_(this) {
  // nop
}

const char* error_signal::name() const {
  return "error_signal";
}

void error_signal::on_exit() {
  // Who listens may hold us in turn.
  listeners_.clear();
}

void error_signal::record(protocol::error_report x) {
  x.id = next_id_++;
  x.time_ms = wall_clock_ms();
  if (x.level == protocol::severity::error)
    log::error("error_signal", "#{} [{}] {}", x.id, to_string(x.code),
               to_string(x));
  else
    log::warning("error_signal", "#{} [{}] {}", x.id, to_string(x.code),
                 to_string(x));
  if (history_.size() == history_max) {
    history_.pop_front();
    ++dropped_;
  }
  history_.push_back(x);
  for (const auto& listener : listeners_)
    send(listener, x);
}

error_signal::behavior_type error_signal::make_behavior() {
  using namespace protocol;
  return {
    [this](const error_report& x) { record(x); },
    [this](const subscribe_errors& x) {
      listeners_.push_back(x.listener);
      calls_.watch(x.listener, [this, who = x.listener](const error&) {
        std::erase(listeners_, who);
      });
      if (!x.from_now)
        for (const auto& report : history_)
          send(x.listener, report);
      return ack{};
    },
    [this](get_errors) {
      return error_history{{history_.begin(), history_.end()}, dropped_};
    },
  };
}

} // namespace troupe::monitor
