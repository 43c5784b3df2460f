// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "troupe/actors/net/job_key.hpp"
#include "troupe/actors/process/host_types.hpp"
#include "troupe/core/codec.hpp"
#include "troupe/core/error.hpp"

/// What the two ends of a connection say before its bytes belong to a channel:
///
///     dialer                      gate
///       | hello ------------------> |   control: it has a process there
///       | <--------------- accepted |
///
///       | hello ------------------> |   data, pulse: a fresh nonce
///       | <-------------- challenge |
///       | answer -----------------> |   proves that the dialer has the key
///       | <--------------- accepted |   proves that the gate has it
///
/// Instead of each answer the gate may say `refused`. Nobody speaks out of
/// turn, so a message is read without a byte of what follows.
///
/// A message is "TRPN", the version, its kind, the length of its body in 16
/// bits, and the body. Decoding trusts nothing.
namespace troupe::net::preamble {

inline constexpr std::uint8_t version = 1;

inline constexpr std::size_t header_bytes = 8;

/// Longest body.
inline constexpr std::size_t body_bytes_max = 512;

/// Longest text of a refusal; what is longer is cut.
inline constexpr std::size_t text_bytes_max = 400;

/// What a plain connection begins with; TLS begins with 0x16.
inline constexpr std::byte first_byte{'T'};

/// What a connection is for.
enum class channel : std::uint8_t {
  /// Spliced to a TCP port on the gate's machine.
  control = 1,
  /// Buffers of batches.
  data = 2,
  /// Signs of life.
  pulse = 3,
};

[[nodiscard]] std::string_view to_string(channel x) noexcept;

struct hello {
  channel kind = channel::control;

  /// The process meant: a host's slot, or `process::node_slot`.
  std::int32_t slot = process::node_slot;

  /// Whose key proves the right; empty for control alone.
  std::string job;

  bool operator==(const hello&) const = default;
};

struct challenge {
  secret_bytes nonce{};

  bool operator==(const challenge&) const = default;
};

struct answer {
  secret_bytes nonce{};
  mac_bytes proof{};

  bool operator==(const answer&) const = default;
};

struct accepted {
  /// Zeros for a control channel.
  mac_bytes proof{};

  bool operator==(const accepted&) const = default;
};

struct refused {
  error reason;

  bool operator==(const refused&) const = default;
};

using message = std::variant<hello, challenge, answer, accepted, refused>;

[[nodiscard]] bytes encode(const message& x);

/// The length of the body that follows a header of `header_bytes` bytes.
/// Fails with `errc::refused` for another version, else with `errc::corrupt`.
[[nodiscard]] result<std::size_t> body_size(std::span<const std::byte> header);

/// A whole message. Errors as `body_size`. A refusal's text comes from
/// strangers: what is not printable ASCII is replaced.
[[nodiscard]] result<message> decode(std::span<const std::byte> whole);

} // namespace troupe::net::preamble
