// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "troupe/comm/socket.hpp"
#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"
#include "troupe/core/ids.hpp"

namespace troupe::comm::nccl {

/// What a sender says before NCCL moves its message. NCCL itself knows neither
/// tags nor sizes of the other side.
struct message_header {
  std::uint64_t bytes = 0;
  std::uint32_t tag = 0;
  /// The bytes lie in host memory and travel in pieces.
  bool staged = false;

  bool operator==(const message_header&) const = default;
};

/// How far a rank had come when it said that it is done.
struct progress {
  /// Collectives it has been through.
  std::uint64_t collectives = 0;
  /// Messages of ours that it has received.
  std::uint64_t received = 0;
};

/// A connection to every peer, beside NCCL, over which a rank learns at once
/// what NCCL does not tell it: that a peer failed, died or is done.
///
/// A connection that closes without a goodbye is a failed rank, whatever
/// happened to it; that includes a killed process. Carries frames of a few
/// bytes, never data.
///
/// Threads: `announce` and `leave` from the operating thread; the rest from any
/// thread. Has no thread of its own: whoever waits looks here.
class sideband {
public:
  /// `lines[r]` is a non-blocking socket connected to rank r; none to `self`.
  [[nodiscard]] static result<std::unique_ptr<sideband>>
  make(rank_id self, std::vector<socket> lines);

  ~sideband();

  sideband(const sideband&) = delete;
  sideband& operator=(const sideband&) = delete;

  /// Tells `to` what comes next.
  [[nodiscard]] result<void> announce(rank_id to, const message_header& what,
                                      deadline until);

  /// The next header of `from`, nothing if none has come yet; `errc::lost` if
  /// none can come any more.
  [[nodiscard]] result<std::optional<message_header>> take(rank_id from);

  /// `errc::lost` if a peer has failed.
  [[nodiscard]] result<void> check();

  /// As `check`, and `errc::lost` if a peer was done before it came to the
  /// `number`-th collective.
  [[nodiscard]] result<void> check_collective(std::uint64_t number);

  /// As `check`, and `errc::lost` if `peer` was done before it received our
  /// `number`-th message.
  [[nodiscard]] result<void> check_send(rank_id peer, std::uint64_t number);

  /// Returns when a peer or `wake` has something to say, at the latest after
  /// `longest`.
  void rest(std::chrono::microseconds longest) noexcept;

  /// Ends every `rest`, now and to come.
  void wake() noexcept;

  /// Says goodbye: this rank is done. `received[r]`: messages it had from r.
  void leave(std::uint64_t collectives,
             const std::vector<std::uint64_t>& received) noexcept;

  /// Cuts every connection, so that the peers know that we failed.
  void kill() noexcept;

private:
  static constexpr std::size_t frame_bytes = 24;

  using frame = std::array<std::byte, frame_bytes>;

  struct peer {
    socket line;
    frame partial{};
    std::size_t got = 0;
    std::deque<message_header> headers;
    std::optional<progress> farewell;
    bool closed = false;
  };

  sideband(rank_id self, std::vector<socket> lines, socket poller,
           socket waker);

  /// Reads what has come. With the mutex held.
  void read_all();

  void read(std::int32_t rank);

  /// False: nothing that we speak.
  static bool understand(const frame& text, peer& from);

  [[nodiscard]] result<void> check_locked();

  const rank_id self_;
  const socket poller_;
  const socket waker_;
  std::mutex mutex_;
  std::vector<peer> peers_;
  std::optional<std::int32_t> failed_;
};

} // namespace troupe::comm::nccl
