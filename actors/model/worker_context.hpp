// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <string_view>

#include "troupe/actors/config/options.hpp"
#include "troupe/comm/communicator.hpp"
#include "troupe/comm/shared_memory.hpp"
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

  /// A run that goes on has the values of this model's parameters without a
  /// checkpoint: it does not train, and either a sync keeps it in step with
  /// another or nobody writes to it and `setup` makes them.
  [[nodiscard]] virtual bool weights_return() const noexcept { return false; }

  /// Which of its node's devices this is; -1 on the CPU host. Ranks with equal
  /// numbers share a device, also from processes of their own.
  [[nodiscard]] virtual std::int32_t device_index() const noexcept {
    return -1;
  }

  /// Most bytes of its device that this rank is to hold
  /// (`models.NAME.device_memory_max`); 0: any number. Whoever has an allocator
  /// of its own holds itself to it.
  [[nodiscard]] virtual std::uint64_t device_bytes_max() const noexcept {
    return 0;
  }

  /// Memory of `device()` for parameters, zeroed on the CPU alone, which
  /// processes of the machine read in place: `parameter::arena`. It counts
  /// towards `device_bytes_max` as long as it lives. Fails with
  /// `errc::exhausted`.
  [[nodiscard]] virtual result<std::shared_ptr<comm::shared_memory>>
  allocate_shared(std::uint64_t bytes);

  /// Copies between memory of this process and memory of `device()`, whatever
  /// that is, and waits for it, at most until `collective_deadline()`. For a few
  /// bytes.
  [[nodiscard]] virtual result<void> put(std::byte* to,
                                         std::span<const std::byte> from);
  [[nodiscard]] virtual result<void> get(std::span<std::byte> to,
                                         const std::byte* from);

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
