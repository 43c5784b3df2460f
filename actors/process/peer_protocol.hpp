// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>

#include "troupe/core/codec.hpp"
#include "troupe/core/error.hpp"
#include "troupe/core/ids.hpp"

/// What travels between two processes of one machine. Every message is one
/// packet; decoding trusts nothing.
namespace troupe::process::peer_protocol {

/// Longest message.
inline constexpr std::size_t message_bytes_max = 4096;

/// Longest text of an error; what is longer is cut.
inline constexpr std::size_t text_bytes_max = 1024;

/// Asks for a buffer.
struct ask {
  std::uint64_t request = 0;
  buffer_id buffer;
};

/// Answers `ask`; carries the file.
struct found {
  std::uint64_t request = 0;
  std::uint64_t size = 0;
};

/// Answers `ask`.
struct refused {
  std::uint64_t request = 0;
  error reason;
};

/// Carries a descriptor that nobody asked for here.
struct give {
  std::string tag;
};

using message = std::variant<ask, found, refused, give>;

[[nodiscard]] bytes encode(const message& x);

/// Fails with `errc::corrupt`, also for a message without the descriptor it
/// must carry or with one too many.
[[nodiscard]] result<message> decode(std::span<const std::byte> in,
                                     std::size_t files);

} // namespace troupe::process::peer_protocol
