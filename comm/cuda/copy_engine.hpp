// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "troupe/comm/bounded_task.hpp"
#include "troupe/comm/cuda/copy_tables.hpp"
#include "troupe/comm/cuda/event.hpp"
#include "troupe/comm/cuda/memory.hpp"
#include "troupe/comm/cuda/runtime.hpp"
#include "troupe/comm/cuda/stream.hpp"
#include "troupe/comm/transfer/copy_engine.hpp"
#include "troupe/core/units.hpp"

namespace troupe::comm::cuda {

struct device_engine_options {
  /// What the destructor waits for the device at most.
  duration patience = std::chrono::seconds{60};
  /// Copies are gathered until they move so much; 0: each call is a launch. To
  /// enqueue a launch takes about 10 us of the host, which a fast device needs
  /// for some 20 MiB.
  std::uint64_t launch_bytes = 64 * mib;
};

/// Moves bytes in a device's memory: launches of the copy kernel on a stream of
/// its own. Calls of one kind are gathered to one launch.
///
///   copy()    tables of a launch
///                  | enough, another kind, or finish()
///                  v
///               pinned ---- upload stream ---> device tables
///                                                   | event
///             ......... main stream ....> kernel <--+
///   finish()  digests <- pinned <- device
///
/// The tables of a launch travel while the kernel before runs. Launches beyond
/// those that there is room for wait for the oldest.
///
/// After a call that fails with `timed_out` the work may still be under way and
/// write to the memory: `finish` may be called again. Any other failure drops
/// what was gathered. The sums of copies must stay where they are until a
/// `finish` succeeds or the engine is gone. The destructor waits for what is
/// under way, and releases in a thread of its own; if either does not end, the
/// engine's memory is left to the process, because a release would wait for
/// ever. So is what it has allocated for
/// others, which goes with the engine at the earliest: slots are what hangs most
/// often.
///
/// Threads: one at a time, any.
class device_engine final : public transfer::copy_engine {
public:
  [[nodiscard]] static result<std::unique_ptr<device_engine>>
  make(runtime_ptr api, std::int32_t device,
       const device_engine_options& options = {});

  ~device_engine() override;

  [[nodiscard]] bool deferred() const noexcept override { return true; }

  [[nodiscard]] result<buffer> allocate(std::uint64_t bytes) override;

  [[nodiscard]] result<std::shared_ptr<shared_memory>>
  allocate_shared(std::uint64_t bytes) override;

  /// A device's memory is there once it is allocated.
  void prefault_write(std::span<std::byte>) noexcept override {}

  void prefault_read(std::span<const std::byte>) noexcept override {}

  /// Tables and events for as many launches as may be under way, the kernel,
  /// and the blocks of put, get and compare. Later work of that size makes
  /// nothing, but waits for launches before it where tables are large. To
  /// allocate may wait for all work of the device, and CUDA knows no deadline
  /// for that: before a sync there is none, in the middle of one there is.
  [[nodiscard]] result<void> warm_up(const transfer::copy_load& most,
                                     deadline until) override;

  /// Waits for all work of the device. No event stands behind the work of
  /// streams that are not ours, and CUDA's own wait for all of it knows no
  /// deadline: a thread of its own does it. One that is given up stays until
  /// the device is done; the next call waits for it first, so an engine has one.
  [[nodiscard]] result<void> settle(deadline until) override;

  [[nodiscard]] result<void> copy(std::span<const transfer::keyed_copy> what,
                                  dtype wire_type, transfer::digesting digests,
                                  digest& sum, deadline until) override;

  [[nodiscard]] result<void>
  digest_regions(std::span<const transfer::keyed_region> what, dtype wire_type,
                 digest& sum, deadline until) override;

  [[nodiscard]] result<void> finish(deadline until) override;

  void drop() noexcept override;

  [[nodiscard]] result<std::optional<transfer::region_difference>>
  compare(const transfer::region& here, const transfer::region& there,
          dtype wire_type, std::uint64_t key, transfer::digesting digests,
          digest& sum, deadline until) override;

  [[nodiscard]] result<void> put(std::byte* to, std::span<const std::byte> from,
                                 deadline until) override;

  [[nodiscard]] result<void> get(std::span<std::byte> to, const std::byte* from,
                                 deadline until) override;

private:
  /// The tables of a launch, on both sides.
  struct slot {
    pinned_memory pinned;
    device_memory device;
    event uploaded;
    /// Behind the kernel.
    event done;
  };

  /// All that the device may be using.
  struct resources {
    stream main;
    stream upload;
    event finished;
    std::vector<slot> slots;
    device_memory digests;
    pinned_memory digests_here;
    /// For put, get and compare.
    pinned_memory bounce;
    device_memory scratch;
    /// What others have from `allocate` and `allocate_shared`.
    std::vector<buffer> given;
    std::vector<std::shared_ptr<shared_memory>> given_shared;
  };

  device_engine(runtime_ptr api, std::int32_t device,
                const device_engine_options& options, resources owned);

  /// A slot in front of the oldest, without tables.
  result<void> add_slot();

  /// Room for `bytes` in a slot that no launch uses.
  result<void> grow(slot& what, std::uint64_t bytes);

  /// A slot that no launch uses, with room for `bytes`.
  result<slot*> next_slot(std::uint64_t bytes, deadline until);

  /// Which of the device's sums adds up what goes to `sum`.
  result<std::uint64_t> digest_for(digest& sum, deadline until);

  /// Begins to gather such work, or goes on: launches what is of another kind.
  /// It is digested to `sum`, unless that is null.
  result<void> gather(dtype wire_type, bool writes, digest* sum,
                      deadline until);

  /// Launches what was gathered, if that is a launch's worth.
  result<void> enqueue_if_full(deadline until);

  /// Launches what was gathered.
  result<void> enqueue(deadline until);

  /// Does it. Whether anything was begun, also if it fails: `begun`.
  result<void> launch(deadline until, bool& begun);

  /// After an `enqueue` that stopped half-way: waits for what it began, which
  /// no event stands behind.
  result<void> mend(deadline until);

  /// Calls `move` for one part after the other of `bytes`, each of which the
  /// pinned memory holds: it copies and waits.
  result<void> through_bounce(
    std::size_t bytes, deadline until,
    const std::function<result<void>(std::size_t first, std::size_t count)>&
      move);

  /// Room in `bounce`, which nobody uses, and, if `device_bytes` is not 0, in
  /// `scratch`.
  result<void> reserve(std::uint64_t bytes, std::uint64_t device_bytes,
                       deadline until);

  runtime_ptr api_;
  std::int32_t device_;
  device_engine_options options_;
  resources owned_;
  /// What was gathered.
  copy_tables tables_;
  /// True if that is digested.
  bool digests_ = false;
  /// The slot that is next in turn.
  std::size_t turn_ = 0;
  /// There are no more slots than that.
  std::size_t slots_max_;
  /// The callers' sums, in the order of the device's.
  std::vector<digest*> sums_;
  /// True if something was enqueued that is not known to be done.
  bool pending_ = false;
  /// True if an `enqueue` stopped half-way.
  bool loose_ = false;
  /// True from when the device is told of `bounce` until that is known done.
  bool bounce_busy_ = false;
  /// A `settle` that was given up.
  std::optional<bounded_task> settling_;
};

/// Makes engines for one device. Safe to use from any thread.
class device_engine_maker final : public transfer::copy_engine_maker {
public:
  device_engine_maker(runtime_ptr api, std::int32_t device,
                      const device_engine_options& options = {});

  [[nodiscard]] result<std::unique_ptr<transfer::copy_engine>>
  make() const override;

private:
  runtime_ptr api_;
  std::int32_t device_;
  device_engine_options options_;
};

} // namespace troupe::comm::cuda
