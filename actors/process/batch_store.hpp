// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "troupe/actors/process/batch_ref.hpp"
#include "troupe/actors/process/peer_mesh.hpp"
#include "troupe/core/batch.hpp"
#include "troupe/core/deadline.hpp"
#include "troupe/core/units.hpp"

namespace troupe::process {

struct store_settings {
  /// Bound on the bytes of all leased buffers together.
  std::uint64_t bytes_max = 4 * gib;

  /// Who we are: stands in every part we hand out.
  node_id node = node_id{0};
  std::int32_t slot = node_slot;
  troupe::incarnation incarnation;

  /// A buffer nobody released is given up after this time.
  duration lease = std::chrono::minutes{30};

  /// Must outlive the store.
  const troupe::clock* clock = &steady_clock();
};

/// The way to batches of other machines.
class remote_stores {
public:
  virtual ~remote_stores() = default;

  /// The file of a part of another machine, of at most `bytes_max` bytes. Any
  /// thread; blocks. Errors as `batch_store::get`.
  [[nodiscard]] virtual result<fetched_file>
  fetch(const batch_part& x, std::uint64_t bytes_max, deadline until) = 0;
};

struct store_stats {
  std::uint64_t bytes = 0;
  std::uint64_t bytes_peak = 0;
  std::size_t buffers = 0;

  /// Leases that ran out before anybody released them, since the start.
  std::uint64_t expired = 0;
};

/// The encoded batches of one process, so that messages carry only references:
/// a consumer in this process shares the bytes, one in another process of this
/// machine maps them, and nobody copies them. One on another machine receives a
/// copy of the file.
///
/// A buffer is a sealed memory file: what a peer has mapped can neither shrink
/// nor change. It belongs to a scope the caller chooses (an episode) and is
/// released with it or when its lease runs out. Tensors that share a released
/// buffer stay valid; its memory is returned with the last of them.
///
/// Whoever writes into a tensor from here writes into pages of its own
/// process, never into those of the store's other readers.
///
/// Threads: any. The mesh's thread reads the store to serve peers.
class batch_store {
public:
  /// A batch whose encoded form is at most this long travels inside its
  /// reference.
  static constexpr std::uint64_t inline_bytes_max = 64 * kib;

  /// Serves `mesh`'s peers until destroyed; without a mesh only batches of
  /// this process and inline ones can be had, without `remote` only those of
  /// this machine. Both must outlive the store.
  explicit batch_store(store_settings config, peer_mesh* mesh = nullptr,
                       remote_stores* remote = nullptr);

  batch_store(const batch_store&) = delete;

  batch_store& operator=(const batch_store&) = delete;

  ~batch_store();

  // -- storing ----------------------------------------------------------------

  /// Encodes a batch, which is the only copy ever made of it. Fails with
  /// `errc::exhausted` if it does not fit into the bound and with
  /// `errc::invalid` if its tensors disagree on the rows.
  [[nodiscard]] result<batch_part> put(const batch& x, std::uint64_t scope,
                                       weight_version version = {});

  /// `x` itself, or, if it carries more than `inline_bytes_max` in its small
  /// parts together, a reference to one stored batch of the same rows: call
  /// before a gathered reference travels on.
  [[nodiscard]] result<batch_ref> settle(batch_ref x, std::uint64_t scope,
                                         deadline until);

  /// Cuts `x` as `batch_ref::split` does. Shares of a batch that travels in its
  /// reference carry their own rows alone, if all of them together would
  /// otherwise carry much more than the batch has.
  [[nodiscard]] result<std::vector<batch_ref>>
  split(const batch_ref& x, std::size_t n, std::uint64_t scope, deadline until);

  // -- fetching ---------------------------------------------------------------

  /// The part's rows. Fails with
  ///  - `errc::lost`: the process that held it is gone;
  ///  - `errc::unavailable`: it was released;
  ///  - `errc::corrupt`: what came is not what the part says;
  ///  - `errc::timed_out`.
  [[nodiscard]] result<batch> get(const batch_part& x, deadline until);

  /// All parts, one below the other: a single part shares, several are copied
  /// together.
  [[nodiscard]] result<batch> get(const batch_ref& x, deadline until);

  /// The file of one of our own buffers, for whoever serves other machines.
  /// Fails with `errc::unavailable` if it was released.
  [[nodiscard]] result<exported_file> export_file(buffer_id id) const;

  // -- leases -----------------------------------------------------------------

  /// Releases the buffers of one scope; returns how many.
  std::size_t release(std::uint64_t scope);

  /// Releases the buffers of all scopes below `scope`.
  std::size_t release_before(std::uint64_t scope);

  /// Releases the buffers whose lease has run out.
  std::size_t sweep();

  [[nodiscard]] store_stats stats() const;

private:
  struct impl;

  std::unique_ptr<impl> impl_;
};

} // namespace troupe::process
