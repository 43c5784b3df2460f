// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/scoped_actor.hpp>

#include "troupe/actors/node/system_config.hpp"
#include "troupe/actors/process/batch_store.hpp"
#include "troupe/actors/process/guard_client.hpp"
#include "troupe/actors/process/peer_mesh.hpp"
#include "troupe/actors/protocol/register.hpp"
#include "troupe/bench/support/stub_model.hpp"

namespace troupe::bench {

struct troupe_node_settings {
  std::string job;
  std::int32_t num_device = 0;
  std::filesystem::path log_dir;
};

/// What a driver has of one machine: a node whose hosts are processes under
/// the guard, and an actor of the main thread's to talk to it. One thread.
class troupe_node {
public:
  /// `guard` was forked before any thread existed and outlives the node.
  [[nodiscard]] static result<std::unique_ptr<troupe_node>>
  start(process::guard_client& guard, const troupe_node_settings& settings);

  /// Ends hosts and guard.
  ~troupe_node();

  troupe_node(const troupe_node&) = delete;
  troupe_node& operator=(const troupe_node&) = delete;

  [[nodiscard]] caf::actor_system& system() noexcept { return *system_; }

  [[nodiscard]] process::batch_store& store() noexcept { return store_; }

  /// Spawns an actor that ends with the node.
  template <class Actor, class... Ts>
  auto spawn(Ts&&... xs) {
    return keep(system_->spawn<Actor>(std::forward<Ts>(xs)...));
  }

  /// Asks and waits.
  template <class Reply, class Handle, class Message>
  result<Reply> ask(const Handle& target, std::chrono::milliseconds timeout,
                    Message message) {
    result<Reply> out = fail(errc::internal, "no answer");
    (*self_)
      ->request(target, timeout, std::move(message))
      .receive([&](Reply& x) { out = std::move(x); },
               [&](caf::error& x) { out = fail(protocol::from_caf(x)); });
    return out;
  }

  /// The stub model on the first devices; starts hosts where none runs.
  [[nodiscard]] result<protocol::dist_model_actor>
  start_model(worker_shape shape);

  /// One more worker in the host of `device`, for direct calls.
  [[nodiscard]] result<protocol::worker_actor>
  start_worker(std::int32_t device);

  /// Closes the model and ends every host.
  [[nodiscard]] result<void> stop_hosts(const protocol::dist_model_actor& x);

  /// The host processes that live, by slot.
  [[nodiscard]] result<std::map<std::int32_t, std::int32_t>> host_pids();

  /// From now on `next_report` has every error that is recorded.
  void watch_errors();

  /// The next error that names a process; nothing if none comes in time.
  [[nodiscard]] std::optional<protocol::error_report>
  next_process_error(deadline until);

private:
  explicit troupe_node(const troupe_node_settings& settings);

  result<void> start_node(process::guard_client& guard);

  [[nodiscard]] result<protocol::host_actor> host_of(std::int32_t device);

  template <class Handle>
  Handle keep(Handle x) {
    (*self_)->monitor(x);
    kept_.push_back(caf::actor_cast<caf::strong_actor_ptr>(x));
    return x;
  }

  troupe_node_settings settings_;
  process::peer_mesh mesh_;
  process::batch_store store_;
  node::system_config config_;
  std::unique_ptr<caf::actor_system> system_;
  std::unique_ptr<caf::scoped_actor> self_;
  std::vector<caf::strong_actor_ptr> kept_;
  protocol::error_signal_actor errors_;
  protocol::node_actor node_;
};

} // namespace troupe::bench
