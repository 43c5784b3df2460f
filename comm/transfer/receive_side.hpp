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

/// The receiving half of an executor.
///
///   in place   copies from the sender's tensors
///   staged     unpacks from the sender's shared memory
///   stream     the helper thread pulls into slots, or straight to where the
///              bytes belong; this thread unpacks meanwhile
///
/// One thread calls; the helper is its own.
class receive_side {
public:
  /// `channels`, `tensors` and `life` outlive this.
  receive_side(channel_set& channels, const tensor_list& tensors,
               lifeline& life, std::unique_ptr<copy_engine> engine,
               bool digests);

  ~receive_side();

  /// How many kinds of slots it needs: 0 or 1.
  [[nodiscard]] std::uint64_t pools() const noexcept;

  /// Makes the slots; each kind may take `bytes_max`.
  [[nodiscard]] result<void> allocate(std::uint64_t bytes_max);

  [[nodiscard]] std::uint64_t slot_bytes_in_all() const noexcept;

  [[nodiscard]] std::uint64_t staged_bytes() const noexcept {
    return staged_bytes_;
  }

  /// Hears from the senders what is where.
  [[nodiscard]] result<void> open(deadline until);

  /// Makes the memory of a mode.
  [[nodiscard]] result<void> prepare(run_mode mode,
                                     std::uint64_t staged_bytes_max);

  /// Waits until the tensors are as others of this process have left them.
  /// Before `run`, while the other side of the executor does nothing.
  [[nodiscard]] result<void> settle(deadline until);

  /// Makes what runs of a mode need beside the slots. Behind `open`.
  [[nodiscard]] result<void> warm_up(run_mode mode, deadline until);

  [[nodiscard]] result<void> run(run_mode mode, deadline until);

  /// Copies what was staged into the tensors, and looks whether it still is
  /// what arrived: `errc::corrupt` names the bucket. All is copied anyway.
  [[nodiscard]] result<void> commit(deadline until);

  /// Waits for the helper and lets go of the senders' memory. After a run that
  /// failed.
  void close() noexcept;

  [[nodiscard]] std::span<const shared_view> shared_views() const noexcept {
    return views_;
  }

private:
  struct entry {
    channel* what = nullptr;
    bool stream = false;
    remote_channel remote;
    /// Units given back when the run began.
    std::uint64_t base = 0;
    /// Units given back at once, so that receipts never fill the socket of a
    /// sender that is busy elsewhere.
    std::uint64_t receipt_every = 1;
    /// Of stream buckets.
    std::vector<std::vector<wire_message>> messages;
    /// What the sender says of its stream buckets.
    std::vector<digest> expected;
    /// Where each bucket's wire bytes stand in the staging memory.
    std::vector<std::uint64_t> staged_at;
    /// Of each bucket: what `commit` has moved.
    std::vector<digest> moved;
  };

  /// One turn of the helper: a bucket, or behind the last the digests of all.
  struct stream_step {
    entry* from = nullptr;
    std::size_t bucket = 0;
  };

  result<void> hear(entry& from, deadline until);

  result<void> receive_windows(entry& from, deadline until);

  result<void> receive_stream(entry& from, deadline until);

  /// Does with all of a bucket what the mode says; done when the engine has
  /// finished.
  result<void> take_window(entry& from, std::size_t bucket, deadline until);

  result<void> take_messages(entry& from, std::size_t bucket, deadline until);

  /// Notes what the mode says of part `index`; `there` is its region in the
  /// sender's tensor, or its bytes on the wire. `take` does what was noted.
  result<void> note(entry& from, std::size_t bucket, std::size_t index,
                    const region& there, deadline until);

  result<void> take(entry& from, std::size_t bucket, deadline until);

  result<void> compare(entry& from, std::size_t bucket,
                       const program_part& part, const region& there,
                       deadline until);

  /// Waits for the engine; then the buckets up to `bucket` are done, and with
  /// `receipt` given back.
  result<void> settle_windows(entry& from, std::size_t bucket, bool receipt,
                              deadline until);

  /// False: the sender may have given up, or we should.
  result<void> keep_reading(entry& from, deadline until);

  result<void> view_part(entry& from, const program_part& part,
                         const region& there);

  result<void> check_digest(const entry& from, std::size_t bucket,
                            const digest& expected) const;

  /// Where the bytes of a message go: where they belong, if the mode and the
  /// tensor take them as they are; else null.
  std::byte* destination(const entry& from, std::size_t bucket,
                         const wire_message& message) const;

  result<void> pull_all();

  result<void> pull_step(const stream_step& step, std::byte* slot);

  std::byte* stream_slot(std::uint64_t step) const noexcept;

  const tensor_list& tensors_;
  lifeline& life_;
  const std::unique_ptr<copy_engine> engine_;
  const bool digests_;
  // Of the bucket at hand; kept so that runs allocate nothing.
  std::vector<keyed_copy> copies_;
  std::vector<keyed_region> looks_;
  std::vector<entry> entries_;
  std::uint64_t staged_bytes_ = 0;
  buffer staged_;
  std::vector<shared_view> views_;
  run_mode mode_ = run_mode::in_place;
  // Stream.
  std::uint64_t slot_bytes_ = 0;
  std::vector<stream_step> steps_;
  std::uint64_t step_ = 0;
  std::unique_ptr<slot_ring> ring_;
  buffer stream_memory_;
  std::optional<deadline> until_;
  // Last: its task uses what stands above.
  std::unique_ptr<helper_thread> helper_;
};

} // namespace troupe::comm::transfer
