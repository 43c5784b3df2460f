// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/core/clock.hpp"
#include "troupe/core/digest.hpp"
#include "troupe/core/dtype.hpp"
#include "troupe/core/ids.hpp"
#include "troupe/core/transfer_plan.hpp"

// What goes into an executor and what comes out of it.

namespace troupe::comm::transfer {

class copy_engine_maker;

/// A dense tensor of this rank. The memory is borrowed: it stays where it is
/// as long as the executor lives.
struct local_tensor {
  std::string name;
  dtype type = dtype::float32;
  std::span<std::byte> memory;
};

/// What a destination does with what arrives. Both ends of a sync run with the
/// same mode.
enum class run_mode : std::uint8_t {
  /// Writes the tensors. One that fails leaves them half written.
  in_place = 1,
  /// Writes staging memory beside the tensors: `commit` or `discard` follows.
  staged = 2,
  /// Writes nothing: compares every element with what is in the tensors.
  compare = 3,
  /// Writes nothing: `executor::shared_views` says where the source's own
  /// tensors are. Only if all channels are inproc and each part is all of a
  /// tensor on both ends, of one type.
  share = 4,
};

[[nodiscard]] std::string_view to_string(run_mode x) noexcept;

struct run_options {
  run_mode mode = run_mode::in_place;
  /// When all has been read, the source digests its tensors (once more, where
  /// they were packed): whatever was written to them meanwhile shows. Packed,
  /// the source's run fails with `errc::corrupt`; read in place, the reports of
  /// both ends differ. Without it that is left to who keeps writers away.
  bool source_digest = false;
};

struct executor_options {
  /// Bound on the bytes of all buckets under way at one time, on this rank. At
  /// least twice the largest bucket (plus 4 KiB each).
  std::uint64_t bytes_in_flight_max = std::uint64_t{64} << 20;
  /// Bound on what `run_mode::staged` keeps beside the tensors.
  std::uint64_t staged_bytes_max = ~std::uint64_t{0};
  /// False only to measure what digests cost: then nothing is verified, and
  /// both ends must agree.
  bool digests = true;
  /// How to move bytes in the tensors' memory. Null: it is this process's.
  std::shared_ptr<const copy_engine_maker> engines = {};
};

/// The first element in which a destination's tensor is not what its source
/// has.
struct difference {
  /// Index and name of the destination's tensor.
  std::uint32_t tensor = 0;
  std::string name;
  /// Index in the stored tensor, row-major.
  std::uint64_t element = 0;
  /// Both values in the destination's type, for people; the bits are added if
  /// the numbers look alike.
  std::string here;
  std::string there;
  /// The source's rank.
  rank_id peer;
};

/// `tensor 'w' element 5: 0.5 here, 0.25 at rank 3`.
[[nodiscard]] std::string to_string(const difference& x);

enum class channel_way : std::uint8_t { send = 1, receive = 2 };

/// What one channel did in the last run.
struct channel_report {
  rank_id peer;
  channel_way way = channel_way::send;
  link_kind link = link_kind::inproc;
  /// In the wire's type; of the buckets that are done.
  std::uint64_t bytes = 0;
  /// Sum over the channel's parts, keyed by `program_part::key`; equal on both
  /// ends. Means something only if `digested`.
  digest sum;
  bool digested = false;
  /// From the first to the last byte of this channel.
  duration elapsed{};
  /// Buckets done: where a failed run stood.
  std::uint64_t buckets_done = 0;
  /// `run_mode::compare` at a destination only.
  std::optional<difference> first_difference;
};

enum class channel_phase : std::uint8_t {
  idle = 1,
  /// For the peer: its next bucket, its receipt, or that it takes bytes.
  waiting = 2,
  /// Packing, copying or unpacking.
  moving = 3,
  done = 4,
};

[[nodiscard]] std::string_view to_string(channel_phase x) noexcept;

/// Where a channel stands now, for a hang report.
struct channel_progress {
  rank_id peer;
  channel_way way = channel_way::send;
  link_kind link = link_kind::inproc;
  channel_phase phase = channel_phase::idle;
  /// The bucket at hand; `buckets` if all are done.
  std::uint64_t bucket = 0;
  std::uint64_t buckets = 0;
  std::uint64_t bytes_done = 0;
  std::uint64_t bytes = 0;
  /// Since when it is in this phase at this bucket.
  time_point since;
  /// Names of the tensors in the bucket, at most eight; `more` says how many
  /// are left out.
  std::vector<std::string> tensors;
  std::uint64_t more = 0;
};

/// `receive from rank 3 over shm: waiting at bucket 4 of 9 for 2.1 s ('a', 'b'
/// and 3 more)`.
[[nodiscard]] std::string to_string(const channel_progress& x, time_point now);

/// In `run_mode::share`: the source's memory of one of our tensors. Valid
/// until the source's process frees or changes it.
struct shared_view {
  std::uint32_t tensor = 0;
  std::span<const std::byte> memory;
};

} // namespace troupe::comm::transfer
