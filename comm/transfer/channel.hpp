// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "troupe/comm/link.hpp"
#include "troupe/comm/transfer/region.hpp"
#include "troupe/comm/transfer/types.hpp"
#include "troupe/core/transfer_plan.hpp"

namespace troupe::comm::transfer {

using tensor_list = std::vector<local_tensor>;

/// Bytes that travel as one message of a stream link. Cut by what both ends
/// know: a large part is alone (with its repeats), so that each end can leave
/// it in its tensor; small ones travel together.
struct wire_message {
  std::uint64_t begin = 0;
  std::uint64_t bytes = 0;
  std::uint32_t first_part = 0;
  std::uint32_t parts = 0;
};

/// True if part `index` is the one before it once more: the same bytes on the
/// wire, for a region that one end stores several times (tied embeddings).
[[nodiscard]] bool repeats(const program_bucket& bucket,
                           std::size_t index) noexcept;

/// Bytes of all parts, those on one wire position once.
[[nodiscard]] std::uint64_t
distinct_bytes(const program_bucket& bucket) noexcept;

/// The messages of a bucket, in order. Complexity: linear in its parts.
[[nodiscard]] std::vector<wire_message>
messages_of(const program_bucket& bucket);

/// One channel of an executor: what it is to do and how far it is. Does not
/// move, because other threads look at it.
class channel {
public:
  channel(program_channel program, channel_way way, link_ptr line,
          const tensor_list& tensors);

  /// Fails as `executor::make` says.
  [[nodiscard]] result<void> check() const;

  [[nodiscard]] const program_channel& program() const noexcept {
    return program_;
  }

  [[nodiscard]] const program_bucket& bucket(std::size_t index) const {
    return program_.buckets[index];
  }

  [[nodiscard]] std::size_t buckets() const noexcept {
    return program_.buckets.size();
  }

  [[nodiscard]] comm::link& line() const noexcept { return *line_; }

  [[nodiscard]] window_source* source() const noexcept { return source_; }

  [[nodiscard]] window_sink* sink() const noexcept { return sink_; }

  /// Where a part stands in our tensor.
  [[nodiscard]] writable_region local(const program_part& part) const;

  [[nodiscard]] const std::string& name_of(const program_part& part) const;

  [[nodiscard]] std::uint64_t largest_bucket() const noexcept;

  /// Parts of the bucket that has most.
  [[nodiscard]] std::size_t largest_part_count() const noexcept;

  /// Loops of our regions of the bucket that has most.
  [[nodiscard]] std::uint64_t largest_loop_count() const;

  /// `bucket 3 of 9 ('a', 'b' and 3 more) from rank 2 over shm`.
  [[nodiscard]] std::string where(std::size_t bucket) const;

  // -- a run --------------------------------------------------------------------

  void begin_run(bool digested);

  /// This thread is at `bucket` and does this.
  void mark(channel_phase phase, std::size_t bucket) noexcept;

  /// A bucket is done, its digest in `sums`.
  void finish_bucket(std::size_t index);

  [[nodiscard]] channel_progress progress() const;

  channel_report report;

  /// Of each bucket, in this run.
  std::vector<digest> sums;

  /// Window links: units given back since the link was made.
  std::uint64_t returned = 0;

private:
  result<void> check_bucket(std::size_t index) const;

  program_channel program_;
  channel_way way_;
  link_ptr line_;
  window_source* source_;
  window_sink* sink_;
  const tensor_list& tensors_;
  std::uint64_t bytes_ = 0;
  time_point begun_;
  // Read by other threads: each alone is enough for a person to look at.
  std::atomic<channel_phase> phase_{channel_phase::idle};
  std::atomic<std::uint64_t> at_bucket_{0};
  std::atomic<std::uint64_t> bytes_done_{0};
  std::atomic<time_point::rep> since_{0};
};

/// The channels of one direction, and the order in which they are worked on.
struct channel_set {
  std::deque<channel> all;
  /// Ascending by own rank XOR peer: see executor.hpp.
  std::vector<channel*> ordered;

  void add(rank_id self, program_channel program, channel_way way,
           link_ptr line, const tensor_list& tensors);
};

} // namespace troupe::comm::transfer
