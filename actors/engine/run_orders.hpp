// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>

#include <caf/actor_system.hpp>

#include "troupe/actors/engine/engine.hpp"
#include "troupe/actors/engine/order_desk.hpp"

namespace troupe::engine {

/// Hands the orders that come to a run's desk to its engine. A line is a JSON
/// object, and so is the answer:
///
///     {"scale": {"model": "policy", "num_replica": 3}, "timeout_ms": 600000}
///     {"scaled": {"model": "policy", "num_replica": 3,
///                 "num_replica_before": 2, "episode": 17}}
///     {"error": {"code": "invalid", "message": "there is no model 'polizy'"}}
///
/// Threads: `serve` from any; orders are obeyed on the desk's.
class run_orders {
public:
  /// How long somebody waits who does not say, and at most.
  static constexpr std::chrono::milliseconds timeout_default{600'000};
  static constexpr std::chrono::milliseconds timeout_max{86'400'000};

  [[nodiscard]] static result<std::unique_ptr<run_orders>>
  open(caf::actor_system& system, const std::filesystem::path& path);

  /// From now on this engine is told; nobody if it is null.
  void serve(engine_actor who);

  /// The answer to a line.
  [[nodiscard]] std::string obey(const std::string& line);

private:
  explicit run_orders(caf::actor_system& system) : system_(system) {
    // nop
  }

  [[nodiscard]] result<protocol::scaled>
  scale(const protocol::scale_model& x, std::chrono::milliseconds timeout);

  caf::actor_system& system_;
  std::mutex mutex_;
  engine_actor engine_;
  /// Last: its thread uses the others.
  std::unique_ptr<order_desk> desk_;
};

} // namespace troupe::engine
