// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>

#include "troupe/comm/socket.hpp"
#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"

namespace troupe::comm::shm {

/// Sender to receiver: where the next bytes are. The first notice that names a
/// region carries its memfd. A push is one notice or, if it goes through the
/// staging buffer, several that add up to `total`.
///
/// Two more messages of the same form: a `handover` brings `region`, a `loan`
/// says that `sequence` units in all may be read in place.
///
/// Handed over is a memfd, or, if `length` is not 0, a name of as many bytes:
/// the next message. What comes with a name as a descriptor is only held by
/// the receiver for as long as it has the memory open.
struct notice {
  static constexpr std::uint32_t kind = 0x544f4e53;
  static constexpr std::uint32_t handover = 0x444e4148;
  static constexpr std::uint32_t loan = 0x4e414f4c;

  std::uint32_t magic = kind;
  std::uint32_t region = 0;
  std::uint64_t sequence = 0;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint64_t total = 0;
};

/// Regions that a sender may hand over.
inline constexpr std::uint32_t regions_max = 4096;

/// Receiver to sender: the bytes of this notice have been copied, or, of the
/// kind `returned`, `sequence` units in all have been read.
struct receipt {
  static constexpr std::uint32_t kind = 0x54504352;
  static constexpr std::uint32_t returned = 0x4e525452;

  std::uint32_t magic = kind;
  std::uint32_t unused = 0;
  std::uint64_t sequence = 0;
};

/// The socket between the ends of a link, and the link's life: which error it
/// died of. Waits end at the deadline, when the peer hangs up (also by dying)
/// and when it is cut.
class wire {
public:
  explicit wire(socket line) noexcept : line_(std::move(line)) {
    // nop
  }

  /// Sends a message, with a file descriptor unless `fd` is negative.
  [[nodiscard]] result<void> send(const void* message, std::size_t size, int fd,
                                  deadline until);

  /// Receives a message of exactly `size` bytes; `fd` is what came with it.
  [[nodiscard]] result<void> receive(void* message, std::size_t size,
                                     socket& fd, deadline until);

  /// Refuses what the peer has not said by now. What it did say can still be
  /// received: so both ends agree on which was the last message.
  void close_ears() noexcept;

  /// Kills the link with `what`, unless it is dead. The error it died of.
  error die(error what);

  /// Kills the link with `errc::aborted`. From any thread.
  void abort() noexcept;

  [[nodiscard]] std::optional<error> cause();

  [[nodiscard]] bool dead() const noexcept { return dead_; }

private:
  result<void> ready(short events, deadline until);

  socket line_;
  std::atomic<bool> dead_{false};
  std::mutex mutex_;
  std::optional<error> cause_;
};

/// Runs `f` unless the link is dead, and lets it die of an error.
template <class F>
result<void> live(wire& line, F f) {
  if (auto cause = line.cause())
    return fail(*cause);
  result<void> done = f();
  if (done)
    return done;
  return fail(line.die(done.error()));
}

} // namespace troupe::comm::shm
