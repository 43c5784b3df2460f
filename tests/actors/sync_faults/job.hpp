// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/scoped_actor.hpp>

#include "actors/sync_faults/shared_page.hpp"
#include "troupe/actors/model/model_job.hpp"
#include "troupe/actors/node/guarded_launcher.hpp"
#include "troupe/actors/node/system_config.hpp"
#include "troupe/actors/process/batch_store.hpp"
#include "troupe/actors/process/guard_client.hpp"
#include "troupe/actors/process/peer_mesh.hpp"
#include "troupe/actors/protocol/register.hpp"

namespace sync_faults {

/// Looks at what a sync_group says to its models before they hear it: the step
/// ("pin", "transfer", ...) and the rank.
using listener = std::function<void(const std::string& step,
                                    const troupe::protocol::worker_name& to)>;

/// Who listens now; set by the test, heard by the models' threads.
struct ears {
  std::mutex mutex;
  listener who;
};

/// What the models are like and how the sync is planned.
struct topology {
  troupe::protocol::sync_options options;
  /// The destination is one replica of two ranks, not two of one.
  bool pair = false;
  /// The source's weights lie in an arena.
  bool arena = false;
  /// The weights are cut into many small tensors, and the destination's are
  /// bfloat16: what is small travels packed, and is converted by the source.
  bool packed = false;
};

/// A node with four host processes: two ranks of "trainer", two of "policy",
/// and a sync_group between them. The node lives on when the models are made
/// anew.
class job {
public:
  /// Forks the guard: before any thread.
  explicit job(std::filesystem::path folder);
  ~job();
  job(const job&) = delete;
  job& operator=(const job&) = delete;

  [[nodiscard]] shared_page& page() noexcept { return *page_; }

  /// Makes the models and the sync; what is left of earlier ones is ended.
  [[nodiscard]] troupe::result<void> make(const topology& how);

  /// Prepares the sync again, as when it was made, and calls "look" at the
  /// destination all the while.
  [[nodiscard]] troupe::result<void> prepare_again(std::uint32_t timeout_ms);

  /// Who hears the steps of syncs.
  void listen(listener x);

  /// Calls "look" at the destination: whether it was answered. When this
  /// returns, the given ranks (2 and 3, counted as in the page) have served or
  /// refused.
  bool look(const std::vector<std::size_t>& ranks);

  /// The number of the next call of "look"; they are counted from 1.
  [[nodiscard]] std::uint64_t next_call() const noexcept { return next_call_; }

  /// Calls a function of every rank of a model.
  troupe::result<void> call(const std::string& model,
                            const std::string& function, double value = 0);

  /// Runs the sync, and calls "look" at the destination all the while.
  [[nodiscard]] troupe::result<troupe::protocol::sync_report>
  sync(std::uint32_t timeout_ms, bool validate = false);

private:
  void end_models();
  [[nodiscard]] troupe::result<void> try_make(const topology& how);
  [[nodiscard]] troupe::result<void> prepare(std::uint32_t timeout_ms,
                                             bool pestered);
  [[nodiscard]] troupe::protocol::invoke next_look(std::uint32_t timeout_ms);
  /// Calls come in all the while; nobody waits for their answers.
  void pester(std::uint32_t timeout_ms);

  std::filesystem::path folder_;
  shared_page* page_ = nullptr;
  std::unique_ptr<troupe::process::guard_client> guard_;
  std::string id_;
  troupe::process::peer_mesh mesh_;
  troupe::process::batch_store store_;
  troupe::node::system_config config_;
  std::unique_ptr<caf::actor_system> system_;
  std::unique_ptr<caf::scoped_actor> self_;
  troupe::protocol::error_signal_actor errors_;
  troupe::protocol::node_actor node_;
  troupe::protocol::dist_model_actor trainer_;
  troupe::protocol::dist_model_actor policy_;
  troupe::protocol::sync_group_actor sync_;
  bool pair_ = false;
  troupe::protocol::prepare_sync preparation_;
  std::uint64_t next_call_ = 1;
  std::shared_ptr<ears> ears_ = std::make_shared<ears>();
};

} // namespace sync_faults
