// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <utility>

#include "troupe/comm/communicator.hpp"
#include "troupe/comm/socket.hpp"
#include "troupe/core/codec.hpp"
#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"

/// What a test and a rank's process say to each other (remote_ranks.hpp).
namespace troupe::test {

enum class verb : std::uint8_t {
  make,
  connect,
  send,
  recv,
  broadcast,
  all_reduce,
  all_gather,
  reduce_scatter,
  barrier,
  abort,
  alive,
  drop,
};

/// A call of one object of a rank's process. Every call has all fields and
/// ignores those that it has no use for. The memory is somebody else's: the
/// caller's, or that of the frame from which the call was read.
struct remote_call {
  verb what{};
  /// As `make` and `connect` named it.
  std::uint64_t object = 0;
  /// Time left: the two processes need no common clock.
  duration left{};
  /// Peer, root, or whose endpoint.
  std::int32_t rank = 0;
  std::uint32_t tag = 0;
  dtype type{};
  comm::reduce_op op{};
  std::span<const std::byte> in{};
  /// Goes over also if it is only written: after a failure it must be as it
  /// was wherever nothing was written.
  std::span<const std::byte> out{};
};

struct remote_answer {
  result<void> outcome;
  /// A new object's name, or whatever else the call asked for.
  std::uint64_t value = 0;
  /// `out` as the call left it, empty if it is as it was; of `make`, the
  /// address; of `connect`, rank and size.
  bytes data;
};

/// A frame: the call's number, then the call or its answer.
[[nodiscard]] bytes encode(std::uint64_t number, const remote_call& x);
[[nodiscard]] bytes encode(std::uint64_t number, const remote_answer& x);

/// False if it is none. `x` views `frame`.
[[nodiscard]] bool decode(const bytes& frame, std::uint64_t& number,
                          remote_call& x);
[[nodiscard]] bool decode(const bytes& frame, std::uint64_t& number,
                          remote_answer& x);

/// Frames over a stream socket, each with its length before it.
///
/// Threads: any may write; one at a time reads.
class frame_socket {
public:
  explicit frame_socket(comm::socket fd) noexcept : fd_(std::move(fd)) {
    // nop
  }

  /// False if the other end is gone or did not read by `until`, which is the
  /// socket's end: half a frame may be on its way.
  bool write(const bytes& frame, deadline until);

  /// Nothing if the other end is gone, `until` passed or `close` was called.
  [[nodiscard]] std::optional<bytes> read(deadline until) const;

  /// Wakes whoever reads or writes. The other end reads no more.
  void close() noexcept;

private:
  [[nodiscard]] bool send(const void* data, std::size_t size,
                          deadline until) const;
  [[nodiscard]] bool recv(void* data, std::size_t size, deadline until) const;

  const comm::socket fd_;
  std::mutex writing_;
};

} // namespace troupe::test
