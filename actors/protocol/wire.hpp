// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace troupe::protocol {

/// A double inside a message. CAF 0.17 turns NaN into -1, -0 into 0 and never
/// comes back from an infinity, so floating point travels as its bit pattern.
class wire_double {
public:
  constexpr wire_double() noexcept = default;

  constexpr wire_double(double value) noexcept
    : bits_(std::bit_cast<std::uint64_t>(value)) {
    // nop
  }

  [[nodiscard]] constexpr double value() const noexcept {
    return std::bit_cast<double>(bits_);
  }

  /// Equal bits: a NaN equals itself, 0 and -0 differ.
  constexpr bool operator==(const wire_double&) const noexcept = default;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, wire_double& x) {
    return f(x.bits_);
  }

private:
  std::uint64_t bits_ = 0;
};

/// Opaque bytes inside a message; CAF copies them in one piece.
using payload = std::vector<std::uint8_t>;

[[nodiscard]] inline payload to_payload(std::span<const std::byte> x) {
  auto* first = reinterpret_cast<const std::uint8_t*>(x.data());
  return {first, first + x.size()};
}

[[nodiscard]] inline std::span<const std::byte> as_bytes(const payload& x) {
  return std::as_bytes(std::span{x});
}

} // namespace troupe::protocol
