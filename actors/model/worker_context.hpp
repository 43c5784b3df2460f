// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "troupe/actors/config/options.hpp"
#include "troupe/comm/communicator.hpp"
#include "troupe/core/dlpack.hpp"
#include "troupe/core/ids.hpp"
#include "troupe/planner/parallel_sizes.hpp"

namespace troupe {

/// Where a module instance lives and what it may use. Handed to
/// `module::setup`; all members are valid until the module is destroyed and
/// are used on the worker's thread only.
class worker_context {
public:
  virtual ~worker_context();

  /// The model's name in the application, e.g. `"policy"`.
  [[nodiscard]] virtual const std::string& model() const noexcept = 0;

  [[nodiscard]] virtual replica_id replica() const noexcept = 0;

  /// Replicas of this model in the job.
  [[nodiscard]] virtual std::int32_t num_replica() const noexcept = 0;

  /// Position inside the replica, and the number of ranks in it.
  [[nodiscard]] virtual rank_id rank() const noexcept = 0;
  [[nodiscard]] virtual std::int32_t world_size() const noexcept = 0;

  /// Tensor, pipeline, data, expert and context parallel sizes of a replica.
  [[nodiscard]] virtual const planner::parallel_sizes&
  parallel() const noexcept = 0;

  /// Position and size along the data-parallel dimension: which share of a
  /// training batch this rank sees.
  [[nodiscard]] virtual std::int32_t data_parallel_rank() const noexcept = 0;
  [[nodiscard]] virtual std::int32_t data_parallel_size() const noexcept = 0;

  [[nodiscard]] virtual dlpack::device device() const noexcept = 0;

  /// Which of its node's devices this is; -1 on the CPU host. Ranks with equal
  /// numbers share a device, also from processes of their own.
  [[nodiscard]] virtual std::int32_t device_index() const noexcept {
    return -1;
  }

  /// All ranks of this replica; null if the replica has one rank.
  [[nodiscard]] virtual comm::communicator* world() noexcept = 0;

  /// The ranks that hold the same shard; null if there is one.
  [[nodiscard]] virtual comm::communicator* data_parallel() noexcept = 0;

  /// How long a collective inside a module function may wait.
  [[nodiscard]] virtual deadline collective_deadline() const = 0;

  /// This rank's options: those of the model's section in the configuration
  /// over the defaults the application declared.
  [[nodiscard]] virtual const options& config() const noexcept = 0;

  /// The only source of randomness a module may use: seeded from the run's
  /// seed, the model, the replica and the rank.
  [[nodiscard]] virtual std::mt19937_64& generator() noexcept = 0;

  /// The run's seed itself, for what must be equal on all ranks (initial
  /// weights, for example).
  [[nodiscard]] virtual std::uint64_t seed() const noexcept = 0;

  /// Threads this worker may keep busy: its share of the machine's cores.
  [[nodiscard]] virtual int num_threads() const noexcept = 0;
};

} // namespace troupe
