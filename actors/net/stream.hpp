// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "troupe/actors/process/unique_fd.hpp"
#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"

namespace troupe::net {

enum class io_state : std::uint8_t {
  done,
  /// Again once the descriptor is readable.
  want_read,
  /// Again once the descriptor is writable.
  want_write,
  /// The other side has said its last.
  closed,
  /// The connection is broken; `stream::failure` says how.
  failed,
};

struct io_outcome {
  io_state state = io_state::failed;

  /// Moved; above 0 exactly if `state` is `done`.
  std::size_t bytes = 0;
};

/// A non-blocking stream of bytes over a TCP connection, plain or TLS, so that
/// what moves bytes does not care which. No call waits. Owns the descriptor.
///
/// Threads: one at a time.
class stream {
public:
  virtual ~stream() = default;

  [[nodiscard]] virtual int fd() const noexcept = 0;

  /// Gives the descriptor up; the stream is of no more use.
  [[nodiscard]] virtual process::unique_fd release() noexcept = 0;

  /// Gets both ends to agree; `done` at once where there is nothing to agree
  /// on. Comes before `read` and `write`.
  [[nodiscard]] virtual io_state handshake() = 0;

  /// Reads into `out`, which is not empty.
  [[nodiscard]] virtual io_outcome read(std::span<std::byte> out) = 0;

  /// Writes from `in`, which is not empty.
  [[nodiscard]] virtual io_outcome write(std::span<const std::byte> in) = 0;

  /// What broke, after `failed`.
  [[nodiscard]] virtual error failure() const = 0;

  /// The events of poll and epoll to wait for; 0 for the other states.
  [[nodiscard]] static std::uint32_t events_for(io_state x) noexcept;
};

[[nodiscard]] std::unique_ptr<stream>
make_plain_stream(process::unique_fd socket);

// -- for whoever may wait -----------------------------------------------------

/// Each fails with `errc::timed_out`, with `errc::lost` if the connection ends,
/// and with the stream's failure if it breaks.
[[nodiscard]] result<void> finish_handshake(stream& x, deadline until);

[[nodiscard]] result<void> send_all(stream& to, std::span<const std::byte> in,
                                    deadline until);

/// Fills `out`.
[[nodiscard]] result<void> receive_all(stream& from, std::span<std::byte> out,
                                       deadline until);

} // namespace troupe::net
