// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "troupe/actors/engine/application.hpp"
#include "troupe/actors/protocol/error_report.hpp"
#include "troupe/actors/protocol/model.hpp"

namespace troupe::engine {

/// How a run that failed can go on.
enum class way : std::uint8_t {
  /// With the models as they stand: what is lost is made anew. Not where the
  /// result must be exact: calls may have left traces in a module.
  in_memory,
  /// The same, but everybody loads the last checkpoint.
  reload,
  /// Every process begins anew, from the last checkpoint or the beginning.
  anew,
};

/// What decides how a run that failed goes on.
struct recovery_facts {
  /// `on_failure: drop`.
  bool drop = false;
  /// `deterministic: true`: the result must be that of a run without failures.
  bool deterministic = true;
  /// The episode after which the models that are left stand; absent if one that
  /// trains may have changed since.
  std::optional<std::int64_t> standing;
  /// Of the last checkpoint on the disk.
  std::optional<std::int64_t> saved;
  /// Where the run went on after it was repaired last.
  std::optional<std::int64_t> repaired;
  /// A machine is lost.
  bool machine_lost = false;
  /// Models to which a sync has brought weights that none brings again.
  std::set<std::string> synced_once;
};

/// Whether the process that `cause` names has to end before the run goes on. A
/// rank that gave up for want of others (`errc::aborted`) has answered, and what
/// it holds is sound.
[[nodiscard]] bool must_end_host(const protocol::error_report& cause);

/// The ways that are open, the one that keeps most first. A repair that led no
/// further is not made again: then everything begins anew. Nothing is left if
/// `drop` would have to do work again that no checkpoint holds.
[[nodiscard]] std::vector<way> ways_on(const recovery_facts& x);

/// Behind which episode it leads; -1 is the beginning.
[[nodiscard]] std::int64_t episode_of(way x, const recovery_facts& facts);

/// Where lost replicas can load from.
struct recovery_folders {
  /// The last checkpoint, if there is one.
  std::filesystem::path checkpoint;
  /// Where ranks that are left may save.
  std::filesystem::path rescue;
};

/// What each model is told to do.
///
/// In memory: a lost replica of a model that trains loads the checkpoint if that is of the
/// episode where the run stands, else what its data-parallel peers know
/// (`same_on_data_ranks`); another one loads the checkpoint, and gets its
/// weights by the next sync if it is kept in step. A model that got them once
/// does not come back without a checkpoint. `reload`: all load the checkpoint.
[[nodiscard]] std::map<std::string, protocol::repair_model>
repair_orders(const module_registry& models, way how,
              const recovery_facts& facts, const recovery_folders& from,
              std::uint64_t scope, std::chrono::milliseconds timeout);

} // namespace troupe::engine
