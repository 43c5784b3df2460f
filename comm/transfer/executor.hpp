// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "troupe/comm/link.hpp"
#include "troupe/comm/transfer/types.hpp"
#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"
#include "troupe/core/transfer_plan.hpp"

namespace troupe::comm::transfer {

/// Moves one rank's part of a weight sync, again and again.
///
/// Made once from a `rank_program`; every run moves all buckets of all
/// channels: pack, move, unpack, with at least two buckets under way. What
/// happens to a bucket depends on its link:
///
///   window   (inproc; shm from arenas)  the receiver copies each region
///            straight from the source's tensors into its own: one copy
///   staged   (shm from other memory)    the source packs into shared memory
///            and the receiver unpacks from there, side by side
///   stream   (gloo)  packed, pushed, pulled, unpacked; large parts that are
///            contiguous travel from and to their tensors without packing
///
/// Digests (WS-4) of the wire's bytes are taken in the pass that copies. Where
/// a bucket is staged or streamed the receiver checks the source's digests
/// itself: `errc::corrupt` names the bucket and its tensors. Where it is read
/// in place the reports of both ends are for the caller to compare
/// (`run_options::source_digest`).
///
/// Order: a rank works through its channels by ascending (source rank XOR
/// destination rank), the same order in every process. So the least channel
/// that is not done is the next one of both its ends, and no order of channels
/// can make ranks wait for each other in a circle. Channels that are read in
/// place are offered at once and need no more of the source's time.
///
/// After the first error all links are dead and the executor fails with that
/// error until it is rebuilt over new links; the peers' runs end too. Nothing
/// that was not committed has been believed.
///
/// Threads: one thread at a time calls `warm_up`, `run`, `commit`, `discard`;
/// `abort` and `progress` may be called from any thread at any time. One helper
/// thread for each direction that has stream links, none otherwise; if a rank
/// both sends and receives, one more.
///
/// Memory: at most `bytes_in_flight_max` for buckets, plus one copy of what
/// arrives once `run_mode::staged` was used. Everything is allocated by the
/// first run of a mode, or `warm_up`; later runs allocate nothing.
class executor {
public:
  /// `send_links[i]` is the sending end of `program.sends[i]`, `receive_links`
  /// likewise; nobody else uses them. `tensors` is the rank's parameter list
  /// that the program's indices point into.
  ///
  /// The program may have come from a peer: fails with `errc::invalid`, naming
  /// bucket and tensor, if a part lies outside its tensor, does not fill its
  /// wire bytes, or would need a conversion that does not exist (only floating
  /// point types convert), and with `errc::exhausted` if two of the largest
  /// bucket exceed the budget.
  [[nodiscard]] static result<std::unique_ptr<executor>>
  make(rank_program program, std::vector<local_tensor> tensors,
       std::vector<link_ptr> send_links, std::vector<link_ptr> receive_links,
       const executor_options& options = {});

  ~executor();

  executor(const executor&) = delete;
  executor& operator=(const executor&) = delete;

  /// Tells the peers where things are, checks that both ends of each channel
  /// mean the same parts, maps the peers' memory, pre-faults mappings and
  /// staging, and makes what copies on a device need. Collective like `run`, which does what of it was not done. Fails
  /// with `errc::invalid`, naming the first tensor in which the ends differ.
  [[nodiscard]] result<void> warm_up(run_mode mode, deadline until);

  /// One sync. Returns when all channels are done: the source's tensors may
  /// change again, the destination's are complete (in place, staged) or have
  /// been compared. A difference is no error: see `reports`.
  ///
  /// Begins with a wait for all that is enqueued on the device of its tensors
  /// (`copy_engine::settle`). While any rank runs, nobody else's collectives may
  /// be waiting on one of the devices: their peers may be behind us, and we
  /// would wait for each other until the deadline. The caller sees to that.
  ///
  /// Fails with `errc::timed_out`, `lost`, `aborted` or `corrupt`; the message
  /// names the peer, the bucket and the tensors in it.
  [[nodiscard]] result<void> run(const run_options& options, deadline until);

  /// Moves what the last staged run brought into the tensors: a local copy, in
  /// which the digests are taken once more. Nothing happens if there is none.
  /// Fails with `errc::corrupt`, naming the bucket, if what was staged has
  /// changed since it arrived: then the tensors hold neither version. On a
  /// device also with `errc::timed_out`; copies in memory of ours just take
  /// their time.
  [[nodiscard]] result<void>
  commit(deadline until = deadline::after(std::chrono::seconds{60}));

  /// Drops what the last staged run brought.
  void discard() noexcept;

  /// True between a staged run that succeeded and `commit` or `discard`.
  [[nodiscard]] bool holds_staged() const noexcept;

  /// What each channel did in the last run, also in one that failed: sends
  /// first, in the program's order. For the thread that runs.
  [[nodiscard]] std::span<const channel_report> reports() const noexcept;

  /// The parts of `reports()[index].sum`, by bucket: where sums of two ends
  /// differ, these say in which bucket.
  [[nodiscard]] std::span<const digest>
  bucket_digests(std::size_t index) const noexcept;

  /// Names a bucket of a channel and its tensors, for people.
  [[nodiscard]] std::string bucket_text(std::size_t index,
                                        std::size_t bucket) const;

  /// What a successful run in `run_mode::share` found, by tensor.
  [[nodiscard]] std::span<const shared_view> shared_views() const noexcept;

  /// Bytes that `run_mode::staged` keeps beside the tensors.
  [[nodiscard]] std::uint64_t staged_bytes() const noexcept;

  /// Bytes of buckets under way; never more than the budget.
  [[nodiscard]] std::uint64_t bytes_in_flight_max() const noexcept;

  /// Where every channel stands, in the order of `reports`. From any thread.
  [[nodiscard]] std::vector<channel_progress> progress() const;

  /// Ends every wait, here and at the peers. From any thread, any number of
  /// times.
  void abort() noexcept;

private:
  struct implementation;

  explicit executor(std::unique_ptr<implementation> all) noexcept;

  std::unique_ptr<implementation> all_;
};

} // namespace troupe::comm::transfer
