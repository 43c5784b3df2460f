// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <vector>

#include <caf/typed_event_based_actor.hpp>

#include "troupe/actors/call/caller.hpp"
#include "troupe/actors/protocol/register.hpp"

namespace troupe::monitor {

/// Records every error of the job, numbers it, and pushes it to whoever
/// subscribed. Keeps the last `history_max` reports; nobody polls.
class error_signal : public protocol::error_signal_actor::base {
public:
  static constexpr std::size_t history_max = 1000;

  explicit error_signal(caf::actor_config& config);

  const char* name() const override;
  void on_exit() override;

protected:
  behavior_type make_behavior() override;

private:
  void record(protocol::error_report x);

  std::uint64_t next_id_ = 1;
  std::uint64_t dropped_ = 0;
  std::deque<protocol::error_report> history_;
  std::vector<protocol::error_listener_actor> listeners_;
  call::caller<error_signal> calls_;
};

} // namespace troupe::monitor
