// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "troupe/actors/process/unique_fd.hpp"
#include "troupe/core/codec.hpp"
#include "troupe/core/error.hpp"

namespace troupe::process {

/// Two ends of a SOCK_SEQPACKET socket without a name: messages keep their
/// borders and may carry a file descriptor. Closed on exec, non-blocking.
[[nodiscard]] result<std::pair<unique_fd, unique_fd>> make_socket_pair();

enum class io_status {
  done,
  /// The other side reads too slowly, or has sent nothing yet.
  would_block,
  /// The other side is gone.
  closed,
  /// What came is no message: too long, or with too many descriptors.
  malformed,
};

/// Sends one message, with the descriptor `file` unless that is -1. Never
/// waits, never raises SIGPIPE.
io_status send_message(int socket, std::span<const std::byte> message,
                       int file = -1) noexcept;

/// A message and the descriptors that came with it.
struct incoming {
  bytes message;
  std::vector<unique_fd> files;
};

/// Receives one message of at most `bytes_max` bytes. Never waits.
[[nodiscard]] io_status receive_message(int socket, std::size_t bytes_max,
                                        incoming& out);

/// An event counter that wakes a poll.
[[nodiscard]] result<unique_fd> make_wake_fd();

void wake(int fd) noexcept;

/// Takes all wake-ups back.
void unwake(int fd) noexcept;

/// What errno says, for people: `"no descriptor left: Too many open files"`.
[[nodiscard]] error system_error(errc code, std::string_view what, int number);

} // namespace troupe::process
