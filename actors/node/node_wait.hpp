// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string_view>

#include <caf/scoped_actor.hpp>

#include "troupe/actors/node/node_events.hpp"
#include "troupe/actors/node/node_process.hpp"
#include "troupe/core/deadline.hpp"

namespace troupe::node {

/// What the own thread of a node process does: waits for whatever ends the job
/// (node_events.hpp), and says what it hears.
class node_wait {
public:
  /// Both outlive the object.
  node_wait(caf::scoped_actor& self,
            const std::function<void(std::string_view)>& tell);

  /// Returns once the process is to end. A job has no end of its own: what ends
  /// it comes as a message.
  [[nodiscard]] node_end run();

private:
  void begin(const job_came& x);
  void over(std::string_view why);
  void hear_driver_gone();
  void hear_silence(const driver_silent& x);
  void hear_down(const caf::down_msg& x);
  void hear_guard_gone();

  caf::scoped_actor& self_;
  const std::function<void(std::string_view)>& tell_;
  protocol::error_signal_actor errors_;
  /// Keeps it alive.
  protocol::node_actor node_;
  caf::actor_addr driver_;
  std::chrono::milliseconds grace_time_{};
  /// Runs while the driver is silent.
  std::optional<deadline> grace_;
  bool closing_ = false;
  std::optional<node_end> end_;
};

} // namespace troupe::node
