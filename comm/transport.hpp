// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"
#include "troupe/core/ids.hpp"

namespace troupe::comm {

/// Which messages between two ranks belong together: 33 bits, so that a
/// backend with 64-bit tags has 31 left for the size of the message.
class channel {
public:
  /// What the user's `send` and `recv` with `tag` go through.
  [[nodiscard]] static constexpr channel user(std::uint32_t tag) noexcept {
    return channel{tag};
  }

  /// What the collectives go through; never meets a user's tag.
  [[nodiscard]] static constexpr channel
  collective(std::uint32_t sequence) noexcept {
    return channel{(std::uint64_t{1} << 32) | sequence};
  }

  [[nodiscard]] constexpr std::uint64_t value() const noexcept {
    return value_;
  }

private:
  constexpr explicit channel(std::uint64_t value) noexcept : value_(value) {
    // nop
  }

  std::uint64_t value_;
};

/// One message on its way. Destroying it withdraws it: from then on its memory
/// is neither read nor written, whether it had completed or not.
class operation {
public:
  virtual ~operation() = default;

  /// Blocks until the message has been moved, `until` passes
  /// (`errc::timed_out`), the peer is gone (`errc::lost`) or the transport is
  /// killed (`errc::aborted`). Called at most once.
  [[nodiscard]] virtual result<void> wait(deadline until) = 0;
};

using operation_ptr = std::unique_ptr<operation>;

/// Point-to-point messages among the ranks of one group: what a backend
/// implements; everything else of a communicator is written once over it.
///
/// Messages between two ranks on one channel match in the order in which they
/// were started, and are waited for in that order. A send may wait for its
/// receive, but every message that both sides have started completes without
/// further calls of the sender.
///
/// Threads: one thread at a time starts and waits; `kill` from any thread.
class transport {
public:
  /// Longest message: what fits beside a channel in 64 bits.
  static constexpr std::size_t message_bytes_max = std::size_t{1} << 30;

  virtual ~transport() = default;

  [[nodiscard]] virtual rank_id rank() const noexcept = 0;

  [[nodiscard]] virtual std::int32_t size() const noexcept = 0;

  /// Starts a message of at most `message_bytes_max` bytes to another rank of
  /// the group. `data` is borrowed until the operation is destroyed.
  [[nodiscard]] virtual result<operation_ptr>
  start_send(std::span<const std::byte> data, rank_id to, channel through) = 0;

  /// The receiving side; `data` must be as long as what is sent. A message of
  /// another size fails or never arrives, but never overruns `data`.
  [[nodiscard]] virtual result<operation_ptr>
  start_recv(std::span<std::byte> data, rank_id from, channel through) = 0;

  /// Ends every wait of the whole group for good: a group that misses a rank
  /// is of no use. Destroying a transport that was not killed ends only the
  /// waits for this rank: it is done, the others may still have work. Any
  /// number of times.
  virtual void kill() noexcept = 0;
};

} // namespace troupe::comm
