// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"

namespace troupe::comm {

class shared_memory;

/// Where memory of the sending process stands for the receiving end.
struct window {
  std::uint32_t region = 0;
  std::uint64_t offset = 0;
};

/// The sending end of a link whose receiving end can read this process's
/// memory in place: one copy, done by the receiver.
///
/// What is read when is told by two counters that only grow. The sender lends
/// units (it alone and the receiver know what a unit is), the receiver gives
/// them back; lent memory does not change until it is given back or the link
/// is dead. A receiver believes nothing that it read before its giving back
/// was accepted, so a sender that gives up may change its memory at once.
///
/// Threads: as the link's.
class window_source {
public:
  virtual ~window_source() = default;

  /// Makes `memory` readable at the other end, from the next push or lend on.
  /// Nothing happens if it is already, or needs not be made.
  [[nodiscard]] virtual result<void>
  share(std::shared_ptr<shared_memory> memory) = 0;

  /// What the receiver calls `data`; nothing if it cannot read all of it.
  [[nodiscard]] virtual std::optional<window>
  locate(std::span<const std::byte> data) const noexcept = 0;

  /// Lends `count` more units. Does not wait for the receiver.
  [[nodiscard]] virtual result<void> lend(std::uint64_t count,
                                          deadline until) = 0;

  /// Waits until more than `known` units have been given back since the link
  /// was made; how many.
  [[nodiscard]] virtual result<std::uint64_t> reclaim(std::uint64_t known,
                                                      deadline until) = 0;

  /// Kills the link unless all that was lent is back. When this returns,
  /// nothing more that is read from our memory will be believed.
  virtual void withdraw() noexcept = 0;
};

/// The receiving end of such a link. The memory may be another process's:
/// nothing that the sender says of it is trusted.
class window_sink {
public:
  virtual ~window_sink() = default;

  /// The sender's memory at `where`. Fails with `errc::corrupt` if the sender
  /// has not shared `bytes` bytes there. Stays mapped as long as the link
  /// lives.
  [[nodiscard]] virtual result<std::span<const std::byte>>
  view(window where, std::uint64_t bytes) = 0;

  /// Waits until `total` units have been lent since the link was made. From
  /// here to `give_back` this end reads.
  [[nodiscard]] virtual result<void> borrow(std::uint64_t total,
                                            deadline until) = 0;

  /// False once the sender may have given up; asked every few milliseconds of
  /// reading. True promises nothing.
  [[nodiscard]] virtual bool intact() const noexcept = 0;

  /// Gives back all up to `total`. What was read may be believed only if this
  /// succeeds.
  [[nodiscard]] virtual result<void> give_back(std::uint64_t total,
                                               deadline until) = 0;

  /// Says that this end reads no more, also when it has not given back. Kills
  /// the link if so.
  virtual void let_go() noexcept = 0;
};

/// One direction between two ranks: what `push` puts in at one end, `pull`
/// takes out at the other, in order.
///
/// A link has a sending and a receiving end; each end belongs to one thread.
/// Both ends call with the same sequence of sizes. A failed transfer kills the
/// link, like a communicator: both ends fail from then on.
class link {
public:
  virtual ~link() = default;

  /// `"inproc"`, `"gloo"`, `"shm"`, ...: for logs and plans.
  [[nodiscard]] virtual std::string_view backend() const noexcept = 0;

  /// Sends `data`. Returns when the memory may be changed again.
  [[nodiscard]] virtual result<void> push(std::span<const std::byte> data,
                                          deadline until) = 0;

  /// Fills `data` with the next bytes pushed, which must be as many.
  [[nodiscard]] virtual result<void> pull(std::span<std::byte> data,
                                          deadline until) = 0;

  /// Ends every wait on both ends that it can reach. Callable from any thread.
  virtual void abort() noexcept = 0;

  /// Null unless this is the sending end of a link with windows. Lives as long
  /// as the link.
  [[nodiscard]] virtual window_source* source_windows() noexcept {
    return nullptr;
  }

  /// Null unless this is the receiving end of a link with windows.
  [[nodiscard]] virtual window_sink* sink_windows() noexcept { return nullptr; }
};

using link_ptr = std::shared_ptr<link>;

} // namespace troupe::comm
