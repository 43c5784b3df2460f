// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "troupe/comm/shared_memory.hpp"
#include "troupe/comm/transfer/kernels.hpp"
#include "troupe/comm/transfer/region.hpp"
#include "troupe/core/buffer.hpp"
#include "troupe/core/deadline.hpp"
#include "troupe/core/digest.hpp"
#include "troupe/core/error.hpp"

namespace troupe::comm::transfer {

/// One copy: `to` gets the elements of `from`, through the wire's type.
struct keyed_copy {
  writable_region to;
  region from;
  /// `program_part::key`.
  std::uint64_t key = 0;
};

/// A region to be digested.
struct keyed_region {
  region what;
  std::uint64_t key = 0;
};

/// The most that an engine is asked to do between two calls of `finish`.
struct copy_load {
  /// Calls of `copy` and `digest_regions`.
  std::uint64_t calls = 0;
  /// Copies or regions of one call.
  std::uint64_t parts = 0;
  /// Loops of one call's regions, of both sides together.
  std::uint64_t loops = 0;
  /// True if `compare` is called too.
  bool compares = false;
};

/// Moves bytes in the memory that the tensors of an executor lie in: this
/// process's (`host_engine`) or a device's (comm/cuda/copy_engine.hpp). All that
/// an executor does with tensors, slots and staging goes through it.
///
/// `copy` and `digest_regions` may return before the work is done: the memory
/// and the sums are as they should be after the next `finish`, and only if it
/// succeeds. Copies are done in any order; work of another kind comes behind
/// what was asked for before it. A failure may be of an earlier call.
///
/// Whatever may wait has a deadline and fails with `errc::timed_out` behind it.
/// What was enqueued before may then still be under way, and the engine keeps
/// its own memory until that has ended.
///
/// Threads: an engine belongs to one thread at a time; the two sides of an
/// executor have one each.
class copy_engine {
public:
  virtual ~copy_engine();

  /// True if `copy` returns early, so that it pays to enqueue a lot before
  /// `finish`.
  [[nodiscard]] virtual bool deferred() const noexcept = 0;

  /// Fresh memory. Fails with `errc::exhausted`.
  [[nodiscard]] virtual result<buffer> allocate(std::uint64_t bytes) = 0;

  /// Fresh memory that processes of this machine can read in place.
  [[nodiscard]] virtual result<std::shared_ptr<shared_memory>>
  allocate_shared(std::uint64_t bytes) = 0;

  /// Lets pages be there now rather than at the first use.
  virtual void prefault_write(std::span<std::byte> memory) noexcept = 0;

  virtual void prefault_read(std::span<const std::byte> memory) noexcept = 0;

  /// Makes what work of that size needs, so that it allocates nothing. Nothing
  /// happens if that is there. Fails with `errc::exhausted`.
  [[nodiscard]] virtual result<void> warm_up(const copy_load& most,
                                             deadline until) = 0;

  /// Waits until what others of this process have begun to write to the
  /// tensors is written. Before tensors are read or lent.
  ///
  /// On a device this waits for all that is enqueued on it, whoever did so
  /// (comm/cuda/copy_engine.hpp). So nothing may be enqueued there that itself
  /// waits for somebody who waits for us, which would end with the deadline: no
  /// collective of other communicators whose peers have not begun theirs. The
  /// caller sees to that; in a job `device_desk` does, which lets one user of
  /// communicators at a time have a set of devices (actors/model).
  [[nodiscard]] virtual result<void> settle(deadline until) = 0;

  /// Copies all of `what`; adds the digests of the wire form to `sum`, which
  /// must stay where it is until `finish`.
  [[nodiscard]] virtual result<void> copy(std::span<const keyed_copy> what,
                                          dtype wire_type, digesting digests,
                                          digest& sum, deadline until) = 0;

  /// The digests alone.
  [[nodiscard]] virtual result<void>
  digest_regions(std::span<const keyed_region> what, dtype wire_type,
                 digest& sum, deadline until) = 0;

  /// Waits until all that was enqueued is done.
  [[nodiscard]] virtual result<void> finish(deadline until) = 0;

  /// Forgets what was asked for and has not begun: a run has failed, and the
  /// memory of others may go away. What has begun is waited for by `finish`.
  virtual void drop() noexcept = 0;

  /// Compares (kernels.hpp). Waits for what was enqueued, and for itself.
  [[nodiscard]] virtual result<std::optional<region_difference>>
  compare(const region& here, const region& there, dtype wire_type,
          std::uint64_t key, digesting digests, digest& sum,
          deadline until) = 0;

  /// A few bytes between the engine's memory and ours. Wait likewise.
  [[nodiscard]] virtual result<void>
  put(std::byte* to, std::span<const std::byte> from, deadline until) = 0;

  [[nodiscard]] virtual result<void>
  get(std::span<std::byte> to, const std::byte* from, deadline until) = 0;
};

/// Makes an engine for each side of an executor.
class copy_engine_maker {
public:
  virtual ~copy_engine_maker();

  [[nodiscard]] virtual result<std::unique_ptr<copy_engine>> make() const = 0;
};

/// For tensors in ordinary memory.
[[nodiscard]] std::unique_ptr<copy_engine> make_host_engine();

} // namespace troupe::comm::transfer
