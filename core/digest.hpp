// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace troupe {

/// The sum that says whether what arrived is what was sent (invariant WS-4).
///
/// Bytes are keyed by their tensor and their position in it, and summed: parts
/// may be digested in any order, by any number of threads or devices, and
/// added. Exactly, for a tensor numbered t whose bytes are read as
/// little-endian 64-bit words w[i] at byte position 8 i, the last one padded
/// with zero bytes:
///
///   mix(z)    z += 0x9E3779B97F4A7C15
///             z  = (z ^ z >> 30) * 0xBF58476D1CE4E5B9
///             z  = (z ^ z >> 27) * 0x94D049BB133111EB
///             z ^ z >> 31
///   x[i]      mix(t) + i * 0x9E3779B97F4A7C15
///   k[i]      x[i] + lo(x[i]) * hi(x[i])
///   products  the sum of lo(w[i] (+) k[i]) * hi(w[i] (+) k[i])
///   words     the sum of w[i]
///
/// All sums and products are modulo 2^64, lo and hi are the 32-bit halves, and
/// (+) adds the halves without carry between them. `words` changes with any
/// single word; `products` is what knows positions: that words change places
/// unnoticed takes a chance of about 2^-32 or less. No protection against an
/// adversary who knows t.
struct digest {
  std::uint64_t products = 0;
  std::uint64_t words = 0;

  /// Joins the digests of disjoint parts.
  digest& operator+=(const digest& other) noexcept {
    products += other.products;
    words += other.words;
    return *this;
  }

  friend digest operator+(digest x, const digest& y) noexcept { return x += y; }

  bool operator==(const digest&) const noexcept = default;
};

/// 32 hexadecimal digits.
[[nodiscard]] std::string to_string(const digest& x);

/// Digests `data`, which stands at byte `position` of tensor `tensor`.
/// `position` must be a multiple of 8. A part that is not a whole number of
/// words must be the tensor's last.
[[nodiscard]] digest digest_of(std::span<const std::byte> data,
                               std::uint64_t tensor,
                               std::uint64_t position) noexcept;

/// Copies `data` to `target` and digests the very bytes that it writes, in one
/// pass: also when somebody changes the source meanwhile. The ranges must not
/// overlap. Large copies bypass the caches, as memcpy's do.
[[nodiscard]] digest copy_and_digest(std::byte* target,
                                     std::span<const std::byte> data,
                                     std::uint64_t tensor,
                                     std::uint64_t position) noexcept;

} // namespace troupe
