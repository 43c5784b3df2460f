// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "troupe/comm/transfer/channel.hpp"
#include "troupe/comm/transfer/channel_table.hpp"
#include "troupe/comm/transfer/copy_engine.hpp"
#include "troupe/comm/transfer/helper_thread.hpp"
#include "troupe/comm/transfer/lifeline.hpp"
#include "troupe/comm/transfer/slot_ring.hpp"
#include "troupe/core/buffer.hpp"

namespace troupe::comm::transfer {

/// The sending half of an executor.
///
///   in place   lent at once, all channels; nothing more to do but wait
///   staged     pack into a slot of shared memory, lend it, pack the next
///   stream     pack into a slot, the helper thread pushes it meanwhile
///
/// Staged and stream channels are worked on in the executor's order. One
/// thread calls; the helper is its own.
class send_side {
public:
  /// `channels` and `life` outlive this.
  send_side(channel_set& channels, lifeline& life,
            std::unique_ptr<copy_engine> engine, bool digests);

  ~send_side();

  /// How many kinds of slots it needs: 0, 1 or 2.
  [[nodiscard]] std::uint64_t pools() const noexcept;

  /// Makes the slots; each kind may take `bytes_max`.
  [[nodiscard]] result<void> allocate(std::uint64_t bytes_max);

  [[nodiscard]] std::uint64_t slot_bytes_in_all() const noexcept;

  /// Tells the receivers what is where.
  [[nodiscard]] result<void> open(deadline until);

  /// Waits until the tensors are as others of this process have left them.
  /// Before `run`, while the other side of the executor does nothing.
  [[nodiscard]] result<void> settle(deadline until);

  /// Makes what runs need beside the slots. Behind `open`.
  [[nodiscard]] result<void> warm_up(deadline until);

  [[nodiscard]] result<void> run(bool source_digest, deadline until);

  /// Waits for the helper and takes all memory back: nothing that is read from
  /// now on is believed. After a run that failed.
  void close() noexcept;

private:
  enum class channel_kind : std::uint8_t { in_place, staged, stream };

  struct entry {
    channel* what = nullptr;
    channel_kind kind = channel_kind::stream;
    std::vector<bucket_source> sources;
    /// Of staged buckets: where they are packed.
    std::vector<std::byte*> slots;
    /// Units given back when the run began.
    std::uint64_t base = 0;
    /// Of stream buckets.
    std::vector<std::vector<wire_message>> messages;
    /// Of each bucket: what the tensors hold behind the run.
    std::vector<digest> after;
  };

  /// One turn of the helper: a bucket, or behind the last the digests of all.
  struct stream_step {
    entry* to = nullptr;
    std::size_t bucket = 0;
  };

  /// Who has the slot now, and with which bucket.
  struct staged_slot {
    entry* holder = nullptr;
    std::size_t bucket = 0;
  };

  channel_kind kind_of(const channel& x) const;

  bool in_windows(const channel& x, const program_bucket& bucket) const;

  result<void> allocate_staged(std::uint64_t slots);

  result<void> allocate_stream(std::uint64_t slots);

  /// Sends a channel's table.
  result<void> tell(entry& to, deadline until);

  result<void> send_staged(entry& to, deadline until);

  result<void> send_stream(entry& to, deadline until);

  /// Packs parts at their place in `slot` and digests them; done when the
  /// engine has finished.
  result<void> pack(entry& from, std::size_t bucket, std::size_t first,
                    std::size_t parts, std::byte* slot, deadline until);

  /// The digests of parts that are pushed from their tensors.
  result<void> digest_in_place(entry& from, std::size_t bucket,
                               const wire_message& message, deadline until);

  result<void> pack_stream(entry& to, std::size_t bucket, std::byte* slot,
                           deadline until);

  /// Where a message is pushed from: the tensor itself if it is alone and as
  /// the wire wants it, else its place in the slot.
  const std::byte* origin(const entry& from, std::size_t bucket,
                          const wire_message& message,
                          const std::byte* slot) const;

  /// Waits until the receiver has given back the first `buckets` of this run.
  result<void> await_return(entry& from, std::size_t buckets, deadline until);

  result<void> push_all();

  result<void> push_step(const stream_step& step, const std::byte* slot);

  std::byte* stream_slot(std::uint64_t step) const noexcept;

  /// What the tensors hold now: for the reports of what was read in place;
  /// what was packed must still be the same.
  result<void> digest_sources(deadline until);

  lifeline& life_;
  const std::unique_ptr<copy_engine> engine_;
  const bool digests_;
  // Of the bucket at hand; kept so that runs allocate nothing.
  std::vector<keyed_copy> copies_;
  std::vector<keyed_region> looks_;
  std::vector<entry> entries_;
  std::uint64_t slot_bytes_ = 0;
  // Staged.
  std::shared_ptr<shared_memory> shared_;
  std::vector<staged_slot> staged_slots_;
  // Stream.
  std::vector<stream_step> steps_;
  std::uint64_t step_ = 0;
  std::unique_ptr<slot_ring> ring_;
  buffer stream_memory_;
  std::optional<deadline> until_;
  // Last: its task uses what stands above.
  std::unique_ptr<helper_thread> helper_;
};

} // namespace troupe::comm::transfer
