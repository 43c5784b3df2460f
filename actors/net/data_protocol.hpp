// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "troupe/core/codec.hpp"
#include "troupe/core/error.hpp"
#include "troupe/core/ids.hpp"

/// What travels on a data channel once it is open: a request, its answer, the
/// next request. Decoding trusts nothing.
namespace troupe::net::data_protocol {

/// Asks for a buffer of a process.
struct request {
  /// Length of an encoded request.
  static constexpr std::size_t bytes_size = 32;

  std::int32_t slot = 0;
  incarnation life;
  buffer_id buffer;

  /// How long the asker waits.
  std::uint32_t budget_ms = 0;

  /// The asker takes no more.
  std::uint64_t bytes_max = 0;

  bool operator==(const request&) const = default;
};

/// Precedes the buffer's bytes, or the text of why there are none.
struct answer {
  /// Length of an encoded answer.
  static constexpr std::size_t bytes_size = 14;

  /// Longest text.
  static constexpr std::uint32_t text_bytes_max = 1024;

  bool found = false;

  /// Of what follows if nothing was found.
  errc code = errc::internal;

  /// Of what follows: the buffer's bytes, or the text.
  std::uint64_t size = 0;

  bool operator==(const answer&) const = default;
};

[[nodiscard]] bytes encode(const request& x);

[[nodiscard]] bytes encode(const answer& x);

/// The answer that says `x`, with its text.
[[nodiscard]] bytes encode(const error& x);

/// Fails with `errc::corrupt`.
[[nodiscard]] result<request> decode_request(std::span<const std::byte> in);

/// Fails with `errc::corrupt`, also if it promises a buffer of nothing.
[[nodiscard]] result<answer> decode_answer(std::span<const std::byte> in);

} // namespace troupe::net::data_protocol
