// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "troupe/core/error.hpp"

namespace troupe::net {

/// Bytes that nobody can guess.
using secret_bytes = std::array<std::byte, 32>;

/// An HMAC-SHA256.
using mac_bytes = std::array<std::byte, 32>;

/// Thirty-two bytes of the system's randomness.
[[nodiscard]] result<secret_bytes> random_secret();

/// True if equal; takes as long if not, so that nobody learns byte by byte.
[[nodiscard]] bool same_bytes(std::span<const std::byte> a,
                              std::span<const std::byte> b) noexcept;

/// The secret of one job: who has it may open data and pulse channels of that
/// job. It never travels over those, only over control channels. Wiped from
/// memory when it goes.
class job_key {
public:
  /// Fails with `errc::unavailable` if the system has no randomness to give.
  [[nodiscard]] static result<job_key> make();

  /// From 64 hexadecimal digits. Fails with `errc::invalid`, without repeating
  /// the text.
  [[nodiscard]] static result<job_key> from_hex(std::string_view text);

  job_key(const job_key&) = default;

  job_key& operator=(const job_key&) = default;

  ~job_key();

  /// What `from_hex` reads. A secret: not for logs.
  [[nodiscard]] std::string hex() const;

  /// HMAC-SHA256 of `data` under this key.
  [[nodiscard]] mac_bytes mac(std::span<const std::byte> data) const;

  [[nodiscard]] bool operator==(const job_key& other) const noexcept;

private:
  explicit job_key(const secret_bytes& x) : bytes_(x) {
    // nop
  }

  secret_bytes bytes_;
};

} // namespace troupe::net
